#pragma once

#include <chrono>
#include <optional>

#include "chorus/engine.h"
#include "engine/answer.h"
#include "engine/tokenizer_state.h"
#include "sampler/stop_matcher.h"
#include "tokenizer/detokenizer.h"

namespace chorus::engine {

using Clock = std::chrono::steady_clock;

inline double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// A request on its way: what comes of its tokens.
class Row {
 public:
  /// `tokenizer` may be null: then there are token ids only.
  Row(Request request, const Tokenizer::State* tokenizer);

  struct Took {
    bool finished;
    std::string_view text;  ///< valid until the next call
    bool reasoning;
  };
  /// Whether this token ends the row as an end of turn or a stop token. Its text may end it with other tokens, too.
  bool stops_at(int32_t token, bool is_eos) const;
  /// A token was sampled. `last`: none can follow.
  Took take(int32_t token, float logprob, bool is_eos, bool last);
  /// Ends the row where it stands.
  void finish(FinishReason reason, std::optional<std::string> error = std::nullopt);
  /// The result, complete after the end.
  Result release();

  const Request& request() const { return request_; }
  bool finished() const { return finished_; }
  Result& result() { return result_; }

  // Set by the engine.
  bool cancelled = false;
  Clock::time_point added, started, first_token, last_token;

 private:
  bool in_reasoning() const { return answer_ && answer_->part() == harmony::AnswerPart::reasoning; }
  /// What detokenizer and stop matcher held back: nothing more will come.
  std::string_view flush();

  Request request_;
  Result result_;
  std::optional<tokenizer::Detokenizer> detokenizer_;
  sampler::StopMatcher stops_;
  std::unique_ptr<harmony::AnswerParser> answer_;  // null without a tokenizer
  std::string piece_, last_text_;
  bool finished_ = false;
};

}  // namespace chorus::engine
