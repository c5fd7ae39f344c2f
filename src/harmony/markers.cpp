#include "harmony/markers.h"

#include <array>
#include <utility>

#include "chorus/error.h"

namespace chorus::harmony {
namespace {

struct Entry {
  Marker marker;
  std::string_view text;
  int32_t HarmonyTokens::*token;
};
constexpr std::array<Entry, 7> markers = {{
    {Marker::start, "<|start|>", &HarmonyTokens::start},
    {Marker::end, "<|end|>", &HarmonyTokens::end},
    {Marker::message, "<|message|>", &HarmonyTokens::message},
    {Marker::channel, "<|channel|>", &HarmonyTokens::channel},
    {Marker::return_, "<|return|>", &HarmonyTokens::return_},
    {Marker::call, "<|call|>", &HarmonyTokens::call},
    {Marker::constrain, "<|constrain|>", &HarmonyTokens::constrain},
}};

}  // namespace

std::string_view marker_text(Marker marker) {
  for (const Entry& m : markers)
    if (m.marker == marker) return m.text;
  return {};
}

Marker marker_at(std::string_view text) {
  for (const Entry& m : markers)
    if (text.starts_with(m.text)) return m.marker;
  return Marker::none;
}

Marker HarmonyTokens::marker(int32_t token) const {
  if (token < 0) return Marker::none;
  for (const Entry& m : markers)
    if (this->*m.token == token) return m.marker;
  return Marker::none;
}

HarmonyTokens harmony_tokens(FunctionRef<std::optional<int32_t>(std::string_view)> token_id) {
  HarmonyTokens tokens;
  for (const Entry& m : markers) tokens.*m.token = token_id(m.text).value_or(-1);
  for (const Marker needed : {Marker::start, Marker::message, Marker::channel})
    for (const Entry& m : markers)
      if (m.marker == needed && tokens.*m.token < 0)
        throw Error(Fault::model, "the tokenizer lacks a harmony token").with("token", m.text);
  return tokens;
}

}  // namespace chorus::harmony
