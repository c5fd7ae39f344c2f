#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "harmony/markers.h"
#include "harmony/tool_syntax.h"

namespace chorus::harmony {

/// What stands around a model's reasoning.
struct ReasoningTags {
  std::string_view open, close;
};

/// How a model writes its answers. Plain text has none of these.
struct AnswerFormat {
  std::optional<HarmonyTokens> harmony = {};  ///< messages in channels; then the rest does not matter
  std::optional<ReasoningTags> reasoning = {};
  const ToolSyntax* tools = nullptr;

  bool is_plain() const { return !harmony && !reasoning && tools == nullptr; }
};

/// "harmony", "plain", or the tags: "<think>, tool_call".
std::string name_of(const AnswerFormat& format);

/// The format that a chat template (all of a folder's templates in one text, or none) and a vocabulary tell. The
/// template's words count first, then the vocabulary's marks.
AnswerFormat detect_format(std::string_view template_text,
                           FunctionRef<std::optional<int32_t>(std::string_view)> token_id);

}  // namespace chorus::harmony
