#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/function_ref.h"

namespace chorus::harmony {

/// The special tokens that structure harmony.
enum class Marker { none, start, end, message, channel, return_, call, constrain };

/// "<|start|>" and so on; empty for none.
std::string_view marker_text(Marker marker);

/// end, return_ and call close a message.
inline bool ends_message(Marker m) {
  return m == Marker::end || m == Marker::return_ || m == Marker::call;
}

/// The marker at the beginning of the text, or none.
Marker marker_at(std::string_view text);

/// The markers' token ids; -1 where the vocabulary has none.
struct HarmonyTokens {
  int32_t start = -1, end = -1, message = -1, channel = -1, return_ = -1, call = -1, constrain = -1;

  Marker marker(int32_t token) const;
};

/// Looks every marker up in a tokenizer's special tokens. Throws Fault::model when start, message or channel is
/// missing: such a vocabulary cannot spell harmony.
HarmonyTokens harmony_tokens(FunctionRef<std::optional<int32_t>(std::string_view)> token_id);

}  // namespace chorus::harmony
