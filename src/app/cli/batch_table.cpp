#include "app/cli/batch_table.h"

#include <unistd.h>

#include <unordered_map>

#include "app/cli/console.h"
#include "app/cli/table.h"
#include "base/file.h"
#include "base/json.h"

namespace chorus::cli {
namespace {

std::string question_of(const BatchRow& row) {
  if (const auto* raw = std::get_if<RawText>(&row.prompt)) return raw->text;
  if (const auto* messages = std::get_if<Json>(&row.prompt);
      messages && messages->is_array() && !messages->empty()) {
    const Json& last = messages->back();
    if (last.is_object() && last.contains("content") && last["content"].is_string()) return last["content"];
  }
  return "row " + row.id;
}

std::string text_of(const Json& result, const char* field) {
  const auto found = result.find(field);
  return found != result.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

void print_batch_table(const std::vector<BatchRow>& rows, const std::string& output_file) {
  const std::string content = read_file(expand_home(output_file));
  std::unordered_map<std::string, TableRow> results;
  for (size_t begin = 0, end; (end = content.find('\n', begin)) != content.npos; begin = end + 1) {
    const Json result = parse_json(std::string_view(content).substr(begin, end - begin), output_file);
    const std::string error = text_of(result, "error");
    // A row that failed in the input may share its id with one that ran.
    TableRow& row = results[text_of(result, "id")];
    if (error.empty())
      row = {.question = "", .working = text_of(result, "reasoning"), .answer = text_of(result, "message")};
    else if (row.answer.empty())
      row = {.question = "", .working = "", .answer = error, .failed = true};
  }
  std::vector<TableRow> shown;
  for (const BatchRow& row : rows) {
    const auto found = results.find(row.id);
    if (row.error)
      shown.push_back({.question = "", .working = "", .answer = *row.error, .failed = true});
    else if (found != results.end())
      shown.push_back(found->second);
    else
      continue;  // interrupted
    shown.back().question = question_of(row);
  }
  print(table_text(shown, is_terminal(STDOUT_FILENO)) + "\n");
}

}  // namespace chorus::cli
