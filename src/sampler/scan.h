#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace chorus::sampler {

// The passes over a whole vocabulary, in loops that compilers vectorise.

constexpr size_t chunk = 512;  ///< logits whose largest, and whose sum, are kept
constexpr int64_t chunks_of(int64_t vocabulary) {
  return (vocabulary + int64_t(chunk) - 1) / int64_t(chunk);
}

/// maxima[c] = the largest logit of chunk c. False if one of all is no number.
bool largest_of_chunks(std::span<const float> logits, std::span<float> maxima);

/// sums[c] = the sum of e^((logit - top) * inverse_temperature) over chunk c, relative error under 3e-7, what is
/// below e^-87.7 left out. Returns the sum of all.
double sums_of_exponentials(std::span<const float> logits, float top, float inverse_temperature,
                            std::span<double> sums);

}  // namespace chorus::sampler
