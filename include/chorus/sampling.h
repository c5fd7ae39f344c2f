#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace chorus {

/// How the next token is drawn from the logits, applied in this order: logit_bias, repetition, presence and frequency
/// penalties; then, unless greedy, top_p, min_p and top_k on the probabilities, temperature, the draw (mlx-lm's order).
struct SamplingParams {
  double temperature = 0;         ///< 0: the likeliest token, ties to the lower id
  double top_p = 1;               ///< in (0, 1]; the fewest likeliest tokens that together reach it
  int64_t top_k = 0;              ///< 0: off
  double min_p = 0;               ///< in [0, 1]; tokens at least this fraction as likely as the likeliest
  double repetition_penalty = 1;  ///< > 0; divides positive and multiplies negative logits of tokens seen
  double presence_penalty = 0;    ///< subtracted once for a token seen
  double frequency_penalty = 0;   ///< subtracted for each time that a token was seen
  int64_t penalty_window = 20;    ///< tokens before the next that count as seen, prompt included; 0: all
  std::vector<std::pair<int32_t, float>> logit_bias = {};  ///< token id, added to its logit
  uint64_t seed = 0;
  bool logprobs = false;          ///< report the log-probability of the drawn token

  bool operator==(const SamplingParams&) const = default;
};

/// Throws Fault::usage naming the field, what was expected and what was there.
void check(const SamplingParams& params, int64_t vocabulary);

}  // namespace chorus
