#include "harmony/parameter_types.h"

#include "base/json.h"

namespace chorus::harmony {
namespace {

const Json& member(const Json& object, const char* name) {
  static const Json none;
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() ? *found : none;
}

// Python's words too, which models write at times.
std::string_view json_word(std::string_view text) {
  if (text == "True") return "true";
  if (text == "False") return "false";
  return text == "None" ? "null" : text;
}

}  // namespace

ParameterTypes::ParameterTypes(const Json& tools) {
  if (!tools.is_array()) return;
  for (const Json& tool : tools) {
    const Json& function = member(tool, "function").is_object() ? member(tool, "function") : tool;
    const Json &name = member(function, "name"),
               &properties = member(member(function, "parameters"), "properties");
    if (!name.is_string() || !properties.is_object()) continue;
    for (const auto& [parameter, schema] : properties.items())
      if (const uint8_t types = types_of(schema)) functions_[name.get<std::string>()][parameter] = types;
  }
}

uint8_t ParameterTypes::type_named(const Json& name) {
  static constexpr std::pair<const char*, uint8_t> names[] = {
      {"null", null},     {"boolean", boolean}, {"integer", integer}, {"number", integer | number},
      {"string", string}, {"array", array},     {"object", object}};
  for (const auto& [known, type] : names)
    if (name == known) return type;
  return 0;
}

// All that a value may be: "type", of one name or several, "enum", "anyOf" and "oneOf". 0: it does not say.
uint8_t ParameterTypes::types_of(const Json& schema) {
  uint8_t types = 0;
  const Json& type = member(schema, "type");
  if (type.is_array())
    for (const Json& name : type) types |= type_named(name);
  else
    types = type_named(type);
  if (types == 0)
    for (const Json& value : member(schema, "enum")) types |= looks_like(to_json_line(value));
  for (const char* choice : {"anyOf", "oneOf"})
    for (const Json& one : member(schema, choice))
      if (member(one, "type").is_string()) types |= type_named(one["type"]);
  if (member(schema, "nullable") == true) types |= null;
  return types;
}

// The type of a JSON text.
uint8_t ParameterTypes::looks_like(std::string_view json) {
  if (!Json::accept(json)) return 0;
  const char first = json[json.find_first_not_of(" \t\r\n")];
  switch (first) {
    case 'n':
      return null;
    case 't':
    case 'f':
      return boolean;
    case '"':
      return string;
    case '[':
      return array;
    case '{':
      return object;
    default:
      return json.find_first_of(".eE") == json.npos ? integer : number;
  }
}

std::string ParameterTypes::json_of(std::string_view function, std::string_view parameter,
                                    std::string_view text) const {
  uint8_t declared = 0;
  if (const auto types = functions_.find(function); types != functions_.end())
    if (const auto found = types->second.find(parameter); found != types->second.end()) declared = found->second;
  const std::string_view json = json_word(text);
  const uint8_t looks = looks_like(json);
  const bool fits = (declared & looks) != 0 && looks != string;
  if (fits) return std::string(json);
  if (declared & string || looks == 0 || looks == string) return to_json_line(Json(std::string(text)));
  return std::string(json);
}

}  // namespace chorus::harmony
