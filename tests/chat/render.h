#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "chat/template.h"
#include "chorus/error.h"

namespace chorus::jinja {

/// The template's text for the variables of a JSON object, or "error: " and the words.
inline std::string render(const std::string& source, const std::string& variables = "{}",
                          const Limits& limits = {}) {
  try {
    const Json json = parse_json(variables, "variables");
    std::vector<std::pair<std::string_view, const Json*>> list;
    for (const auto& [name, value] : json.get_ref<const Json::object_t&>()) list.emplace_back(name, &value);
    const LocalTime now = LocalTime::parse("2026-01-15 12:30:45");
    return Template(source, "test").render(list, &now, limits);
  } catch (const Error& e) {
    return "error: " + e.problem();
  }
}

/// The facts of the error, "name: value" joined by "; ".
inline std::string facts_of_error(const std::string& source, const std::string& variables = "{}") {
  try {
    const Json json = parse_json(variables, "variables");
    std::vector<std::pair<std::string_view, const Json*>> list;
    for (const auto& [name, value] : json.get_ref<const Json::object_t&>()) list.emplace_back(name, &value);
    return "no error: " + Template(source, "test").render(list, nullptr);
  } catch (const Error& e) {
    std::string facts;
    for (const auto& [name, value] : e.facts()) facts += (facts.empty() ? "" : "; ") + name + ": " + value;
    return facts;
  }
}

}  // namespace chorus::jinja
