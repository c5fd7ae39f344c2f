#pragma once

#include <optional>

#include "chorus/result.h"
#include "engine/tokenizer_state.h"
#include "harmony/parser.h"

namespace chorus::engine {

/// Takes a growing completion apart into the fields of a result: by harmony's channels where the vocabulary has them,
/// else the whole text is the message.
class AnswerParser {
 public:
  /// `tokenizer` may be null: then there is nothing to take apart.
  explicit AnswerParser(const Tokenizer::State* tokenizer);

  void feed(int32_t token, std::string_view piece);
  void feed_text(std::string_view text);
  /// The text of the moment is meant for the reader's curiosity, not for the user.
  bool in_reasoning() const;
  /// Writes message, reasoning, channels, tool_calls, malformed and reasoning_tokens.
  void finish(Result& result);

 private:
  bool has_text_;
  std::optional<harmony::Parser> harmony_;
};

}  // namespace chorus::engine
