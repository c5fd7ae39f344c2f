#pragma once

#include <span>
#include <string_view>

#include "chorus/json.h"
#include "harmony/parameter_types.h"

namespace chorus::harmony {

/// How the models of a family write tool calls into an answer.
struct ToolSyntax {
  std::string_view name;
  std::string_view open;   ///< begins a block of calls
  std::string_view close;  ///< ends it; empty: the end of the answer does
  /// Appends the calls of a block, in OpenAI's form, to `calls` and returns how much of the body they are: all of
  /// it, or up to what cannot be read.
  size_t (*read)(std::string_view body, const ParameterTypes& types, Json& calls);
  /// What a chat template says that expects this; empty: `open`.
  std::string_view hint = {};
  /// An answer that is nothing but JSON may be calls, without a mark.
  bool bare_json = false;
};

/// Every syntax, the more telling marks first.
std::span<const ToolSyntax> tool_syntaxes();

/// {"id", "type": "function", "function": {"name", "arguments"}}; arguments are text, usually JSON. No id: none
/// was written.
Json tool_call(std::string_view name, std::string_view arguments, std::string_view id = {});

/// Calls that are JSON: objects with name and arguments (or parameters), lists of them, several in a row.
size_t read_json_calls(std::string_view body, Json& calls);

}  // namespace chorus::harmony
