#include "harmony/typescript.h"

#include <algorithm>

#include "base/utf8.h"
#include "harmony/python_json.h"

namespace chorus::harmony {
namespace {

const Json& member(const Json& object, std::string_view name) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  const auto it = object.find(name);
  return it == object.end() ? nothing : *it;
}

std::string text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : python_json(value);
}

// The values' texts with " | " between.
std::string alternatives(const Json& values, std::string_view quote) {
  std::string out;
  for (const Json& value : values) {
    if (!out.empty()) out += " | ";
    (out += quote) += text(value);
    out += quote;
  }
  return out;
}

std::string comment(std::string_view description) {
  std::string out = "// ";
  for (const char c : description) {
    out += c;
    if (c == '\n') out += "// ";
  }
  return out + "\n";
}

class Writer {
 public:
  explicit Writer(Style style) : template_(style == Style::template_) {}

  std::string function(const FunctionTool& tool) const {
    std::string out = described(tool.description) + "type " + tool.name + " = ";
    const bool takes_any = !member(tool.parameters, "properties").empty();
    return out + (takes_any ? "(_: {\n" + properties(tool.parameters) + "})" : "()") + " => any;\n\n";
  }

 private:
  // The template comments the first line only, and also where there is no description.
  std::string described(std::string_view description) const {
    if (template_) return "// " + std::string(description) + "\n";
    return description.empty() ? "" : comment(description);
  }

  // One per line, with comments: what a function takes.
  std::string properties(const Json& schema) const {
    std::string out;
    for (const auto& [name, spec] : member(schema, "properties").items()) {
      const Json& description = member(spec, "description");
      if (description.is_string() && description != "") out += described(text(description));
      out += name + (is_required(schema, name) ? ": " : "?: ") + type(spec) + ending(spec);
    }
    return out;
  }

  // From the comma on: the format puts it before the comment of a default, the template there and behind it.
  std::string ending(const Json& spec) const {
    if (!spec.is_object() || !spec.contains("default")) return ",\n";
    const Json& value = spec["default"];
    const bool plain = value.is_string() && !(member(spec, "enum").empty() && member(spec, "oneOf").empty());
    const std::string what = "// default: " + (plain ? text(value) : python_json(value));
    if (!template_) return ", " + what + "\n";
    return (member(spec, "oneOf").empty() ? ", " : "") + what + ",\n";
  }

  static bool is_required(const Json& schema, const std::string& name) {
    const Json& required = member(schema, "required");
    return required.is_array() && std::find(required.begin(), required.end(), Json(name)) != required.end();
  }

  std::string type(const Json& spec) const {
    const Json& named = member(spec, "type");
    const std::string null = member(spec, "nullable") == true ? " | null" : "";
    if (named == "array") return array(member(spec, "items")) + null;
    if (named.is_array() && !named.empty()) return alternatives(named, "");
    if (!member(spec, "oneOf").empty()) return one_of(member(spec, "oneOf"));
    if (named == "string") {
      const Json& values = member(spec, "enum");
      return values.empty() ? "string" + null : alternatives(values, "\"");
    }
    if (named == "number" || named == "integer") return "number";
    if (named == "boolean") return "boolean";
    return named == "object" ? object(spec) : "any";
  }

  std::string array(const Json& items) const {
    if (items.empty()) return "any[]";
    const Json& named = member(items, "type");
    if (named == "string") return "string[]";  // also where the values are listed
    const std::string inner = type(items);
    if (template_ && (inner == "object | object" || utf8_length(inner) > 50)) return "any[]";
    return inner + "[]";
  }

  std::string object(const Json& spec) const {
    const Json& members = member(spec, "properties");
    if (members.empty()) return "object";
    if (!template_) return "{\n" + properties(spec) + "}";
    std::string out;  // the line break and the indentation are the template's
    for (const auto& [name, inner] : members.items()) {
      out += out.empty() ? "" : ", ";
      out += name + (is_required(spec, name) ? "" : "?") + ": \n                " + type(inner);
    }
    return "{\n" + out + "}";
  }

  std::string one_of(const Json& variants) const {
    std::string out;
    for (const Json& variant : variants) {
      if (!out.empty()) out += template_ ? " | \n" : " | ";
      out += type(variant);
      if (!template_) continue;
      if (member(variant, "description").is_string() && variant["description"] != "")
        out += "// " + text(variant["description"]);
      if (variant.contains("default")) out += "                    // default: " + python_json(variant["default"]);
    }
    return out;
  }

  bool template_;
};

}  // namespace

std::string typescript(const ToolNamespace& tools, Style style) {
  std::string out = "## " + tools.name + "\n\n";
  if (tools.tools.empty()) return out + tools.description;
  if (!tools.description.empty()) out += comment(tools.description);
  out += "namespace " + tools.name + " {\n\n";
  for (const FunctionTool& tool : tools.tools) out += Writer(style).function(tool);
  return out + "} // namespace " + tools.name;
}

}  // namespace chorus::harmony
