#include "sampler/draw_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sampler/philox.h"

namespace chorus::sampler {

DrawPlan::DrawPlan(int64_t vocabulary, int64_t max_rows) : change_of_token_(size_t(vocabulary)) {
  rows_.reserve(size_t(max_rows));
  for_host_.reserve(size_t(max_rows));
  changes_.reserve(size_t(max_changes(max_rows)));
}

void DrawPlan::make(std::span<const DrawRequest> requests) {
  rows_.clear();
  changes_.clear();
  for_host_.clear();
  for (const DrawRequest& request : requests) add(request);
}

void DrawPlan::add(const DrawRequest& request) {
  const SamplingParams& p = *request.params;
  const size_t begin = changes_.size();
  const bool fits = add_changes(p, request.tokens);
  for (size_t i = begin; i < changes_.size(); ++i) change_of_token_[size_t(changes_[i].token_id)] = 0;
  if (!fits) changes_.resize(begin);
  for_host_.push_back(!fits);
  const bool greedy = p.temperature == 0 || !fits;
  const auto position = int64_t(request.tokens.size());
  rows_.push_back({.uniform = greedy ? 0 : uniform(p.seed, request.row_key, position),
                   .top_p = p.top_p,
                   .inverse_temperature = greedy ? 0 : float(1 / p.temperature),
                   .log_min_p = p.min_p > 0 ? float(std::log(p.min_p)) : -std::numeric_limits<float>::infinity(),
                   .repetition_penalty = float(p.repetition_penalty),
                   .presence_penalty = float(p.presence_penalty),
                   .frequency_penalty = float(p.frequency_penalty),
                   .top_k = int32_t(std::min<int64_t>(p.top_k, std::numeric_limits<int32_t>::max())),
                   .logits = request.logits,
                   .changes_begin = int32_t(begin),
                   .changes_end = int32_t(changes_.size()),
                   .wants_logprob = p.logprobs});
}

bool DrawPlan::add_changes(const SamplingParams& p, std::span<const int32_t> tokens) {
  for (const auto& [id, bias] : p.logit_bias) {
    LogitChange* change = change_of(id);
    if (change == nullptr) return false;
    change->bias += bias;
  }
  if (p.repetition_penalty == 1 && p.presence_penalty == 0 && p.frequency_penalty == 0) return true;
  if (p.penalty_window > 0 && size_t(p.penalty_window) < tokens.size())
    tokens = tokens.last(size_t(p.penalty_window));
  for (const int32_t id : tokens) {
    LogitChange* change = change_of(id);
    if (change == nullptr) return false;
    ++change->count;
  }
  return true;
}

/// The row's change of a token, made if there is none; null without room.
LogitChange* DrawPlan::change_of(int32_t token_id) {
  int32_t& index = change_of_token_[size_t(token_id)];
  if (index == 0) {
    if (changes_.size() == changes_.capacity()) return nullptr;
    changes_.push_back({.token_id = token_id, .count = 0, .bias = 0});
    index = int32_t(changes_.size());
  }
  return &changes_[size_t(index) - 1];
}

}  // namespace chorus::sampler
