#pragma once

#include <string>

#include "chorus/json.h"

namespace chorus {

/// One message of a conversation. What a chat template sees is an object: `role`, then `content`, then the members
/// of `extra` in their order (tool_calls, thinking, name, tool_call_id, ...); a member of `extra` named like one
/// of the first two replaces it.
///
///     Message{.role = "user", .content = "Hello"}
struct Message {
  std::string role = {};
  Json content = nullptr;       ///< a string, null, or a list of parts as multimodal templates take it
  Json extra = Json::object();  ///< an object
};

/// How a conversation becomes a prompt (the keyword arguments of transformers' apply_chat_template).
struct TemplateOptions {
  bool add_generation_prompt = true;
  /// A list of tool descriptions (JSON schema functions); null = the template sees None.
  Json tools = nullptr;
  /// Any further template variable, `reasoning_effort`, `documents`, ...; also overrides what is set otherwise.
  Json kwargs = Json::object();
  /// YYYY-MM-DD, optionally followed by " HH:MM:SS": what strftime_now takes for now. Empty = the local time.
  std::string date = {};
  /// Which of a folder's named templates. Empty = "default", or "tool_use" where there is one and tools are given.
  std::string template_name = {};
};

}  // namespace chorus
