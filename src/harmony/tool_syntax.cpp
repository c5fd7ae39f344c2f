#include "harmony/tool_syntax.h"

#include <algorithm>
#include <optional>

#include "base/json.h"
#include "harmony/characters.h"
#include "harmony/json_text.h"

namespace chorus::harmony {
namespace {

// Reads a text from its beginning on.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  size_t at() const { return at_; }
  std::string_view rest() const { return text_.substr(at_); }
  bool at_end() { return skip_spaces().empty(); }

  std::string_view skip_spaces() {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    return rest();
  }
  bool take(std::string_view mark) {
    if (!rest().starts_with(mark)) return false;
    at_ += mark.size();
    return true;
  }
  /// The text up to the mark, which is passed too.
  std::optional<std::string_view> take_until(std::string_view mark) {
    const size_t end = text_.find(mark, at_);
    if (end == text_.npos) return std::nullopt;
    const std::string_view found = text_.substr(at_, end - at_);
    at_ = end + mark.size();
    return found;
  }
  std::optional<std::string_view> take_json() {
    skip_spaces();
    const size_t end = end_of_json(text_, at_);
    if (end == text_.npos) return std::nullopt;
    const std::string_view found = text_.substr(at_, end - at_);
    at_ = end;
    return found;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

bool is_name(std::string_view text) {
  return !text.empty() && text.find_first_of(" \t\r\n<>{}[]\"'") == text.npos;
}

// Arguments that are written as tags: {"key": value, ...}.
class TagArguments {
 public:
  TagArguments(const ParameterTypes& types, std::string_view function) : types_(types), function_(function) {}
  void add(std::string_view key, std::string_view value) {
    text_ += text_.empty() ? "{" : ", ";
    text_ += to_json_line(Json(std::string(key))) + ": " + types_.json_of(function_, key, value);
  }
  std::string finish() { return text_.empty() ? "{}" : text_ + "}"; }

 private:
  const ParameterTypes& types_;
  std::string_view function_;
  std::string text_;
};

// <function=f>\n<parameter=key>\nvalue\n</parameter>\n</function>, or <function=f>{...}</function>
bool read_function_tag(Cursor& in, const ParameterTypes& types, Json& calls) {
  const auto name = in.take_until(">");
  if (!name || !is_name(*name)) return false;
  if (in.skip_spaces().starts_with('{')) {
    const auto json = in.take_json();
    if (!json || (in.skip_spaces(), !in.take("</function>"))) return false;
    calls.push_back(tool_call(*name, *json));
    return true;
  }
  TagArguments arguments(types, *name);
  while (in.skip_spaces(), in.take("<parameter=")) {
    const auto key = in.take_until(">");
    auto value = key ? in.take_until("</parameter>") : std::nullopt;
    if (!value) return false;
    if (value->starts_with('\n')) value->remove_prefix(1);
    if (value->ends_with('\n')) value->remove_suffix(1);
    arguments.add(*key, *value);
  }
  if (!in.take("</function>")) return false;
  calls.push_back(tool_call(*name, arguments.finish()));
  return true;
}

// name\n<arg_key>key</arg_key>\n<arg_value>value</arg_value>\n...
bool read_argument_tags(Cursor& in, const ParameterTypes& types, Json& calls) {
  const std::string_view rest = in.rest();
  const std::string_view name = rest.substr(0, rest.find_first_of("\n<"));
  if (!is_name(name)) return false;
  in.take(name);
  TagArguments arguments(types, name);
  while (in.skip_spaces(), in.take("<arg_key>")) {
    const auto key = in.take_until("</arg_key>");
    if (!key || (in.skip_spaces(), !in.take("<arg_value>"))) return false;
    const auto value = in.take_until("</arg_value>");
    if (!value) return false;
    arguments.add(strip(*key), *value);
  }
  if (!in.at_end()) return false;
  calls.push_back(tool_call(name, arguments.finish()));
  return true;
}

// [{"name", "arguments", "id"}, ...], or name[ARGS]{...} with a [TOOL_CALLS] before each further one
size_t read_mistral(std::string_view body, const ParameterTypes&, Json& calls) {
  if (strip(body).starts_with('[')) return read_json_calls(body, calls);
  Cursor in(body);
  size_t done = 0;
  do {
    const auto head = in.take_until("[ARGS]");
    if (!head) return done;
    const size_t mark = head->find("[CALL_ID]");
    const std::string_view name = strip(head->substr(0, mark));
    const std::string_view id = mark == head->npos ? "" : strip(head->substr(mark + 9));
    const auto arguments = in.take_json();
    if (!is_name(name) || !arguments) return done;
    calls.push_back(tool_call(name, *arguments, id));
    done = in.at();
    in.skip_spaces();
  } while (in.take("[TOOL_CALLS]"));
  return in.at_end() ? body.size() : done;
}

// Arguments that are a JSON object, or one inside of a JSON string.
std::optional<std::string> object_text(std::string_view text) {
  text = strip(text);
  if (!Json::accept(text)) return std::nullopt;
  return text.starts_with('"') ? Json::parse(text).get<std::string>() : std::string(text);
}

// <｜tool▁call▁begin｜>name<｜tool▁sep｜>{...}<｜tool▁call▁end｜> (V3.1), or
// <｜tool▁call▁begin｜>function<｜tool▁sep｜>name\n```json\n{...}\n```<｜tool▁call▁end｜> (V3, R1)
size_t read_deepseek(std::string_view body, const ParameterTypes&, Json& calls) {
  Cursor in(body);
  size_t done = 0;
  while (in.skip_spaces(), in.take("<｜tool▁call▁begin｜>")) {
    auto name = in.take_until("<｜tool▁sep｜>");
    auto call = name ? in.take_until("<｜tool▁call▁end｜>") : std::nullopt;
    if (!call) return done;
    if (const size_t fence = call->find("\n```json\n"); fence != call->npos) {
      name = call->substr(0, fence);
      call = call->substr(fence + 9);
      call = call->substr(0, call->rfind("```"));
    }
    const auto arguments = object_text(*call);
    if (!is_name(strip(*name)) || !arguments) return done;
    calls.push_back(tool_call(strip(*name), *arguments));
    done = in.at();
  }
  return done > 0 && in.at_end() ? body.size() : done;
}

// <|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{...}<|tool_call_end|>
size_t read_kimi(std::string_view body, const ParameterTypes&, Json& calls) {
  Cursor in(body);
  size_t done = 0;
  while (in.skip_spaces(), in.take("<|tool_call_begin|>")) {
    const auto head = in.take_until("<|tool_call_argument_begin|>");
    const auto call = head ? in.take_until("<|tool_call_end|>") : std::nullopt;
    const auto arguments = call ? object_text(*call) : std::nullopt;
    if (!arguments) return done;
    const std::string_view id = strip(*head);
    std::string_view name = id.substr(0, id.rfind(':'));
    if (name.starts_with("functions.")) name.remove_prefix(10);
    if (!is_name(name)) return done;
    calls.push_back(tool_call(name, *arguments, id));
    done = in.at();
  }
  return done > 0 && in.at_end() ? body.size() : done;
}

bool begins_argument(std::string_view text) {
  const size_t end = text.find_first_of("=\"\n ");
  return end != text.npos && is_name(text.substr(0, end)) && text.substr(end).starts_with("=\"");
}

// brave_search.call(query="..."): no quote is escaped there, so a value ends where the next key or the end follows
std::optional<Json> read_builtin_call(std::string_view body) {
  Cursor in(body);
  const auto name = in.take_until(".call(");
  if (!name || !is_name(*name) || !body.ends_with(')')) return std::nullopt;
  std::string_view rest = in.rest().substr(0, in.rest().size() - 1);
  Json arguments = Json::object();
  while (!rest.empty()) {
    const size_t equals = rest.find("=\"");
    if (equals == rest.npos || !is_name(rest.substr(0, equals)) || !rest.ends_with('"')) return std::nullopt;
    size_t end = rest.find("\", ", equals + 2);
    while (end != rest.npos && !begins_argument(rest.substr(end + 3))) end = rest.find("\", ", end + 1);
    if (end == rest.npos) end = rest.size() - 1;
    if (end < equals + 2) return std::nullopt;
    arguments[std::string(rest.substr(0, equals))] = rest.substr(equals + 2, end - equals - 2);
    rest.remove_prefix(std::min(rest.size(), end + 3));
  }
  return tool_call(*name, to_json_line(arguments));
}

// Behind <|python_tag|>: JSON calls, a call of a built-in tool, or else a program.
size_t read_python_tag(std::string_view body, const ParameterTypes&, Json& calls) {
  const std::string_view text = strip(body);
  if (text.empty()) return 0;
  if (text.starts_with('{')) {
    Json json = Json::array();
    if (read_json_calls(text, json) == text.size()) {
      for (Json& call : json) calls.push_back(std::move(call));
      return body.size();
    }
  }
  if (const auto call = read_builtin_call(text))
    calls.push_back(*call);
  else
    calls.push_back(tool_call("code_interpreter", to_json_line(Json({{"code", text}}))));
  return body.size();
}

size_t read_json_block(std::string_view body, const ParameterTypes&, Json& calls) {
  return read_json_calls(body, calls);
}

// What stands between <tool_call> and </tool_call>: JSON, or Qwen3-Coder's or GLM's tags.
size_t read_tag_calls(std::string_view body, const ParameterTypes& types, Json& calls) {
  Cursor in(body);
  if (in.skip_spaces().starts_with('{') || in.rest().starts_with('[')) return read_json_calls(body, calls);
  if (!in.rest().starts_with("<function=")) return read_argument_tags(in, types, calls) ? body.size() : 0;
  size_t done = 0;
  while (in.take("<function=")) {
    if (!read_function_tag(in, types, calls)) return done;
    done = in.at();
    in.skip_spaces();
  }
  return in.at_end() ? body.size() : done;
}

constexpr ToolSyntax syntaxes[] = {
    {"deepseek", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", read_deepseek},
    {"kimi", "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", read_kimi},
    {"mistral", "[TOOL_CALLS]", "", read_mistral},
    {"nemotron", "<TOOLCALL>", "</TOOLCALL>", read_json_block},
    {"seed", "<seed:tool_call>", "</seed:tool_call>", read_tag_calls, "seed:tool_call"},
    {"tool_call", "<tool_call>", "</tool_call>", read_tag_calls},
    {"llama3", "<|python_tag|>", "", read_python_tag, "Environment: ipython", /*bare_json=*/true},
};

}  // namespace

std::span<const ToolSyntax> tool_syntaxes() {
  return syntaxes;
}

}  // namespace chorus::harmony
