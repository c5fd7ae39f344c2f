#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chorus/sampling.h"

namespace chorus::sampler {

/// Memory that one thread's calls of sample() use, taken once: sample() allocates nothing.
struct Scratch {
  explicit Scratch(int64_t vocabulary);

  std::vector<int32_t> ids;
  std::vector<float> values;
};

struct Sampled {
  int32_t token_id;
  float logprob;  ///< log-probability under the logits after bias and penalties; 0 unless asked for
};

/// Draws the next token of a row. `logits` [V] may be changed. `tokens` are the row's prompt and generated ids so far.
/// The draw depends on params.seed, row_key, position and the logits, and on nothing else.
/// Throws Fault::internal if no logit is finite (NaN, or all -inf).
Sampled sample(std::span<float> logits, const SamplingParams& params, std::span<const int32_t> tokens,
               uint64_t row_key, int64_t position, Scratch& scratch);

}  // namespace chorus::sampler
