#include "base/json.h"
#include "harmony/json_text.h"
#include "harmony/tool_syntax.h"

namespace chorus::harmony {
namespace {

constexpr std::string_view spaces = " \t\r\n";

// One object: {"name": ..., "arguments" | "parameters": ..., "id": ...}, perhaps inside of {"function": ...}.
bool read_call(std::string_view object, Json& calls, bool is_inner = false) {
  std::string name, arguments = "{}", id;
  for_each_member(object, [&](const std::string& key, std::string_view value) {
    const bool is_text = value.starts_with('"');
    if (key == "name" && is_text) name = Json::parse(value);
    if (key == "id" && is_text) id = Json::parse(value);
    if (key == "arguments" || key == "parameters")
      arguments = is_text ? Json::parse(value).get<std::string>() : std::string(value);
    if (key == "function" && value.starts_with('{') && !is_inner) {
      Json inner = Json::array();
      if (read_call(value, inner, /*is_inner=*/true)) {
        name = inner[0]["function"]["name"];
        arguments = inner[0]["function"]["arguments"];
      }
    }
  });
  if (name.empty()) return false;
  calls.push_back(tool_call(name, arguments, id));
  return true;
}

bool read_calls(std::string_view value, Json& calls) {
  if (value.starts_with('{')) return read_call(value, calls);
  const size_t before = calls.size();
  bool all = true;
  for_each_element(value, [&](std::string_view element) {
    all = all && element.starts_with('{') && read_call(element, calls);
  });
  while (!all && calls.size() > before) calls.erase(calls.size() - 1);
  return all && calls.size() > before;
}

}  // namespace

Json tool_call(std::string_view name, std::string_view arguments, std::string_view id) {
  Json call = Json::object();
  if (!id.empty()) call["id"] = id;
  call["type"] = "function";
  call["function"] = {{"name", name}, {"arguments", arguments}};
  return call;
}

size_t read_json_calls(std::string_view body, Json& calls) {
  size_t done = 0;
  for (size_t at = body.find_first_not_of(spaces); at != body.npos;) {
    const size_t end = end_of_json(body, at);
    if (end == body.npos || !read_calls(body.substr(at, end - at), calls)) return done;
    done = end;
    at = body.find_first_not_of(spaces, end);
    if (at != body.npos && body[at] == ';') at = body.find_first_not_of(spaces, at + 1);  // as Llama parts them
  }
  return done > 0 ? body.size() : 0;
}

}  // namespace chorus::harmony
