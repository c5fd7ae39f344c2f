#include "app/cli/table.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "app/cli/console.h"
#include "base/utf8.h"

namespace chorus::cli {
namespace {

constexpr size_t table_width = 100, gap = 2;
constexpr const char *plain = "", *bold = "\x1b[1m", *dim = "\x1b[2m", *red = "\x1b[31m", *off = "\x1b[0m";

struct Column {
  std::string TableRow::*text;
  const char* heading;
  size_t width, most_lines;
  const char* style;
};

// Bytes of the first `columns` characters.
size_t prefix_bytes(std::string_view text, size_t columns) {
  size_t at = 0;
  while (at < text.size() && columns-- > 0) at += decode_utf8(text, at).size;
  return at;
}

// The text in lines of at most `width`, broken at spaces where there are any.
std::vector<std::string> wrapped(const std::string& text, size_t width, size_t most_lines) {
  std::string_view rest = text;
  std::vector<std::string> lines;
  while (!rest.empty() || lines.empty()) {
    size_t end = prefix_bytes(rest, width), next = end;
    if (lines.size() + 1 == most_lines && end < rest.size()) {
      lines.push_back(std::string(rest.substr(0, prefix_bytes(rest, width - 1))) + "…");
      break;
    }
    if (end < rest.size()) {
      const size_t space = rest.substr(0, end + 1).rfind(' ');
      if (space != rest.npos && space > 0) {
        end = space;
        next = space + 1;
      }
    }
    lines.emplace_back(rest.substr(0, end));
    rest.remove_prefix(next);
  }
  return lines;
}

void append_padded(std::string& out, std::string_view text, const Column& column, const char* style) {
  const std::string_view end = *style ? off : "";
  out.append(style).append(text).append(end);
  out.append(column.width + gap - std::min(column.width, utf8_length(text)), ' ');
}

void end_line(std::string& out) {
  out.erase(out.find_last_not_of(' ') + 1);
  out += '\n';
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  return for_terminal(text);
}

std::vector<Column> columns_for(std::span<const TableRow> rows) {
  const bool workings =
      std::any_of(rows.begin(), rows.end(), [](const TableRow& r) { return !r.working.empty(); });
  std::vector<Column> columns = {{&TableRow::question, "question", 0, 3, plain}};
  if (workings) columns.push_back({&TableRow::working, "working", 0, 2, dim});
  columns.push_back({&TableRow::answer, "answer", 0, 5, bold});
  // Equal shares; what the earlier ones do not need goes to the later ones.
  size_t left = table_width + gap;
  for (size_t i = 0; i < columns.size(); ++i) {
    const size_t share = left / (columns.size() - i) - gap;
    size_t longest = std::string_view(columns[i].heading).size();
    for (const TableRow& row : rows) longest = std::max(longest, utf8_length(row.*columns[i].text));
    columns[i].width = std::min(longest, share);
    left -= columns[i].width + gap;
  }
  return columns;
}

}  // namespace

std::string table_text(std::span<const TableRow> rows, bool colour) {
  std::vector<TableRow> shown(rows.begin(), rows.end());
  for (TableRow& row : shown)
    for (auto text : {&TableRow::question, &TableRow::working, &TableRow::answer}) row.*text = one_line(row.*text);
  const std::vector<Column> columns = columns_for(shown);
  std::string out;
  for (const Column& c : columns) append_padded(out, c.heading, c, colour ? dim : plain);
  end_line(out);
  for (const TableRow& row : shown) {
    std::vector<std::vector<std::string>> cells;
    size_t height = 0;
    for (const Column& c : columns) {
      cells.push_back(wrapped(row.*c.text, c.width, c.most_lines));
      height = std::max(height, cells.back().size());
    }
    for (size_t line = 0; line < height; ++line) {
      for (size_t i = 0; i < columns.size(); ++i) {
        const bool error = row.failed && columns[i].text == &TableRow::answer;
        const std::string_view text = line < cells[i].size() ? std::string_view(cells[i][line]) : "";
        append_padded(out, text, columns[i], !colour || text.empty() ? plain : error ? red : columns[i].style);
      }
      end_line(out);
    }
  }
  return out;
}

}  // namespace chorus::cli
