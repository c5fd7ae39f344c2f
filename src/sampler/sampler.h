#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chorus/error.h"
#include "chorus/sampling.h"

namespace chorus::sampler {

/// Memory that one thread's calls of sample() use, taken once: sample() allocates nothing.
struct Scratch {
  explicit Scratch(int64_t vocabulary);

  std::vector<int32_t> ids;     ///< [V] candidates
  std::vector<int32_t> counts;  ///< [V] zero between calls
  std::vector<double> values;   ///< [V] weights of candidates
  std::vector<float> maxima;    ///< [chunks] (scan.h)
  std::vector<double> sums;     ///< [chunks]
};

struct Sampled {
  int32_t token_id;
  float logprob;  ///< log-probability under the logits after bias and penalties; 0 unless asked for
};

/// Draws the next token of a row. `logits` [V] may be changed. `tokens` are the row's prompt and generated ids so far.
/// The draw depends on params.seed, row_key, position and the logits, and on nothing else.
/// Throws Fault::internal if the logits have no finite maximum, or a NaN.
Sampled sample(std::span<float> logits, const SamplingParams& params, std::span<const int32_t> tokens,
               uint64_t row_key, int64_t position, Scratch& scratch);

/// What sample() throws where the largest logit is this.
Error not_finite(float largest);

/// The first step of sample(): logit_bias, then repetition, presence and frequency penalties over the last
/// penalty_window tokens, as mlx-lm's logits processors.
void apply_penalties(std::span<float> logits, const SamplingParams& params, std::span<const int32_t> tokens,
                     Scratch& scratch);

/// The second: the ids that top_p, min_p and top_k leave, likeliest first (ties: the lower id), in scratch.ids. Each of
/// the three cuts the sorted list of tokens somewhere, so the least of the cuts counts, whatever the order.
std::span<const int32_t> keep(std::span<const float> logits, const SamplingParams& params, Scratch& scratch);

}  // namespace chorus::sampler
