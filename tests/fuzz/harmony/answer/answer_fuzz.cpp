// Any text as an answer in any format: in pieces as at once, and what is there only grows. The first byte picks
// the format, the second how the prompt ends.
#include <cstdint>
#include <cstdlib>

#include "base/json.h"
#include "base/utf8.h"
#include "harmony/answer_parser.h"

using namespace chorus;
using namespace chorus::harmony;

static void require(bool holds) {
  if (!holds) std::abort();
}

static AnswerFormat format_of(uint8_t choice) {
  const size_t tools = choice % (tool_syntaxes().size() + 2);
  if (tools == tool_syntaxes().size() + 1)
    return {.harmony = HarmonyTokens{
                .start = 1, .end = 2, .message = 3, .channel = 4, .return_ = 5, .call = 6, .constrain = 7}};
  AnswerFormat format;
  if (tools < tool_syntaxes().size()) format.tools = &tool_syntaxes()[tools];
  if (choice & 0x80) format.reasoning = ReasoningTags{"<think>", "</think>"};
  return format;
}

static bool grows(const std::optional<std::string>& before, const std::optional<std::string>& now) {
  return !before || (now && now->starts_with(*before));
}

// Tokens where the format is harmony: a marker as its id, text one character or so at a time.
static void feed(AnswerParser& parser, const AnswerFormat& format, std::string_view text, bool in_pieces) {
  Answer before;
  while (!text.empty()) {
    const Marker marker = format.harmony ? marker_at(text) : Marker::none;
    size_t size = in_pieces ? 1 + static_cast<unsigned char>(text[0]) % 5 : text.size();
    if (format.harmony) size = std::min(size, std::max<size_t>(1, text.find("<|", 1)));
    if (marker != Marker::none) size = marker_text(marker).size();
    size = std::min(size, text.size());
    parser.feed(marker != Marker::none ? int32_t(marker) : 100, text.substr(0, size));
    text.remove_prefix(size);
    if (!in_pieces) continue;
    const Answer& now = parser.answer();
    // the one way to take a message back
    const bool was_reasoning = before.message && !before.reasoning && now.reasoning && now.malformed;
    require(was_reasoning || grows(before.message, now.message));
    require(grows(before.reasoning, now.reasoning));
    require(before.tool_calls.size() <= now.tool_calls.size());
    require(is_utf8(now.message.value_or("")) && is_utf8(now.reasoning.value_or("")));
    if (text.size() < 4096) before = now;
  }
  parser.finish();
  const Answer& now = parser.answer();
  require(grows(before.reasoning, now.reasoning) || now.malformed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const AnswerFormat format = format_of(data[0]);
  constexpr const char* ends[] = {"",
                                  "<think>\n",
                                  "<think>\n\n</think>\n\n",
                                  "<|start|>assistant",
                                  "<|start|>assistant<|channel|>analysis<|message|>So",
                                  "x<|end|>"};
  const char* prompt = ends[data[1] % std::size(ends)];
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto whole = make_answer_parser(format, prompt), pieces = make_answer_parser(format, prompt);
  feed(*whole, format, text, false);
  feed(*pieces, format, text, true);
  Answer a = whole->answer(), b = pieces->answer();
  a.reasoning_tokens = b.reasoning_tokens = 0;  // these depend on the cuts
  require(a == b);
  to_json_line(a.tool_calls);
  if (format.is_plain()) require(a.message == replace_invalid_utf8(text) && !a.malformed);
  for (const Json& call : a.tool_calls)
    require(!call["function"]["name"].get<std::string>().empty() || format.harmony);
  return 0;
}
