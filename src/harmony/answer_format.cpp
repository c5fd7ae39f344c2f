#include "harmony/answer_format.h"

namespace chorus::harmony {
namespace {

constexpr ReasoningTags reasoning_tags[] = {
    {"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"}};

std::string_view hint(const ToolSyntax& syntax) {
  return syntax.hint.empty() ? syntax.open : syntax.hint;
}

template <typename Range, typename Test>
auto first(const Range& range, const Test& test) -> decltype(&*std::begin(range)) {
  for (const auto& entry : range)
    if (test(entry)) return &entry;
  return nullptr;
}

}  // namespace

std::string name_of(const AnswerFormat& format) {
  if (format.harmony) return "harmony";
  if (format.is_plain()) return "plain";
  std::string name(format.reasoning ? format.reasoning->open : "");
  if (format.tools != nullptr) name += (name.empty() ? "" : ", ") + std::string(format.tools->name);
  return name;
}

AnswerFormat detect_format(std::string_view text, FunctionRef<std::optional<int32_t>(std::string_view)> token_id) {
  AnswerFormat format;
  if (token_id("<|start|>") && token_id("<|message|>") && token_id("<|channel|>")) {
    format.harmony = harmony_tokens(token_id);
    return format;
  }
  const auto says = [&](std::string_view words) { return text.find(words) != text.npos; };
  const ReasoningTags* tags =
      first(reasoning_tags, [&](const ReasoningTags& t) { return says(t.open) || says(t.close); });
  if (tags == nullptr)
    tags = first(reasoning_tags, [&](const ReasoningTags& t) {
      return token_id(t.open).has_value() && token_id(t.close).has_value();
    });
  if (tags != nullptr) format.reasoning = *tags;
  format.tools = first(tool_syntaxes(), [&](const ToolSyntax& s) { return says(hint(s)); });
  if (format.tools == nullptr)
    format.tools = first(tool_syntaxes(), [&](const ToolSyntax& s) { return token_id(s.open).has_value(); });
  return format;
}

}  // namespace chorus::harmony
