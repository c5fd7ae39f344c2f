#include "app/cli/batch_input.h"

#include <unordered_map>

#include "chorus/error.h"

namespace chorus::cli {

std::vector<BatchRow> read_rows(std::string_view content, std::string_view file_name,
                                const RowDefaults& defaults) {
  const bool plain_text = file_name.ends_with(".txt");
  if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);  // a byte-order mark
  std::vector<BatchRow> rows;
  std::unordered_map<std::string, int64_t> line_of_id;
  for (int64_t line = 1; !content.empty(); ++line) {
    const size_t end = content.find('\n');
    std::string_view text = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.find_first_not_of(" \t") == std::string_view::npos) continue;
    rows.push_back(plain_text ? row_of_text(text, line, defaults) : row_of_json(text, line, defaults));
    BatchRow& row = rows.back();
    const auto [first, is_new] = line_of_id.emplace(row.id, line);
    if (!is_new && !row.error)
      row.error =
          Error(Fault::input, "duplicate id").with("line", line).with("first on line", first->second).one_line();
  }
  if (rows.empty()) throw Error(Fault::input, "the input holds no prompt").with("input", file_name);
  return rows;
}

}  // namespace chorus::cli
