// Renders templates for compare.py: JSON lines {"template", "context"} on stdin -> {"output"} or {"error"} on
// stdout.
#include <iostream>

#include "base/json.h"
#include "chat/template.h"
#include "chorus/error.h"

using namespace chorus;

static Json answer(const std::string& line) {
  const Json row = parse_json(line, "input line");
  std::vector<std::pair<std::string_view, const Json*>> variables;
  for (const auto& [name, value] : row["context"].get_ref<const Json::object_t&>())
    variables.emplace_back(name, &value);
  const jinja::LocalTime now = jinja::LocalTime::parse("2026-01-15 12:30:45");
  try {
    return {{"output", jinja::Template(row["template"].get<std::string>(), "row").render(variables, &now)}};
  } catch (const Error& e) {
    return {{"error", e.one_line()}};
  }
}

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << to_json_line(answer(line)) << std::endl;
}
