#include "engine/row.h"

#include <algorithm>

namespace chorus::engine {

Row::Row(Request request, const Tokenizer::State* tokenizer)
    : request_(std::move(request)), stops_(request_.stop.stop) {
  if (tokenizer != nullptr) {
    detokenizer_.emplace(tokenizer->tokenizer);
    answer_ = answer_parser(*tokenizer, request_.prompt, request_.tools);
  }
  result_.id = request_.id;
  result_.prompt_tokens = int64_t(request_.prompt.size());
  result_.seed = request_.sampling.seed;
}

bool Row::stops_at(int32_t token, bool is_eos) const {
  const auto& stop_ids = request_.stop.stop_token_ids;
  return (is_eos && !request_.stop.ignore_eos) || std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end();
}

Row::Took Row::take(int32_t token, float logprob, bool is_eos, bool last) {
  ++result_.generated_tokens;
  if (stops_at(token, is_eos)) {
    const std::string_view rest = flush();
    if (answer_) answer_->feed(token, rest);  // an end of turn closes the message, and has no text of its own
    last_text_ = piece_;
    finish(FinishReason::stop);
    return {true, last_text_, false};
  }
  result_.token_ids.push_back(token);
  if (request_.sampling.logprobs) result_.logprobs.push_back(logprob);
  piece_.clear();
  if (detokenizer_) {
    sampler::StopMatcher::Step step = stops_.add(detokenizer_->add(token));
    piece_ = std::move(step.text);
    result_.text += piece_;
    if (step.matched >= 0) {
      answer_->feed_text(piece_);
      result_.matched_stop = request_.stop.stop[size_t(step.matched)];
      detokenizer_.reset();  // what follows the stop string in its token is not kept
      const bool reasoning = in_reasoning();
      const std::string_view text = last_text_ = piece_;
      finish(FinishReason::stop);
      return {true, text, reasoning};
    }
    answer_->feed(token, piece_);
  }
  const bool reasoning = in_reasoning();
  if (!last) return {false, piece_, reasoning};
  last_text_ = piece_;
  finish(FinishReason::length);
  last_text_ += piece_;  // what was held back
  return {true, last_text_, reasoning};
}

void Row::finish(FinishReason reason, std::optional<std::string> error) {
  if (finished_) return;
  finished_ = true;
  result_.finish_reason = reason;
  result_.error = std::move(error);
  if (!answer_) return;
  answer_->feed_text(flush());
  answer_->finish();
  put(answer_->answer(), result_);
}

std::string_view Row::flush() {
  piece_.clear();
  if (detokenizer_) {
    piece_ = stops_.add(detokenizer_->finish()).text;
    piece_ += stops_.finish();
    detokenizer_.reset();
    result_.text += piece_;
  }
  return piece_;
}

Result Row::release() {
  const Clock::time_point end = Clock::now();
  const auto or_end = [&](Clock::time_point t) { return t == Clock::time_point() ? end : t; };
  result_.queued_s = seconds_between(added, or_end(started));
  result_.prefill_s = seconds_between(or_end(started), or_end(first_token));
  result_.decode_s = seconds_between(or_end(first_token), end);
  return std::move(result_);
}

}  // namespace chorus::engine
