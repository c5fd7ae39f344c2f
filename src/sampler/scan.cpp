#include "sampler/scan.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace chorus::sampler {
namespace {

// Four lanes are what every 64-bit processor has; four such vectors at a time hide the latency of their
// operations.
using Floats = float __attribute__((vector_size(16)));
using Ints = int32_t __attribute__((vector_size(16)));
constexpr size_t lanes = 4, vectors = 4, stride = lanes * vectors;
static_assert(chunk % stride == 0);

Floats load(const float* x) {
  Floats v;
  std::memcpy(&v, x, sizeof v);
  return v;
}

/// e^x for x <= 0, without a branch: below -87.7 the exponent becomes that of 0.
Floats exp_of_negative(Floats x) {
  const Floats least = Floats{} - 88;
  const Floats clamped = x > least ? x : least;
  const Floats shifted =
      clamped * 1.44269504f + 12582912.f;  // the integer lands in the lowest bits of the mantissa
  const Floats n = shifted - 12582912.f;
  const Floats r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  Floats p = Floats{} + 1.98412698e-4f;
  for (const float c : {1.38888889e-3f, 8.33333333e-3f, 4.16666667e-2f, 1.66666667e-1f, 0.5f, 1.f, 1.f})
    p = p * r + c;
  Ints bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000;
  Floats power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

/// A chunk that the logits end in, filled up with what changes nothing.
struct Padded {
  Padded(const float* x, size_t n) {
    std::fill(std::copy_n(x, n, values), values + chunk, -std::numeric_limits<float>::infinity());
  }
  float values[chunk];
};

float largest(const float* x, bool& numbers) {
  Floats most[vectors];
  Ints odd[vectors] = {};
  for (Floats& m : most) m = Floats{} - std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < chunk; i += stride)
#pragma GCC unroll 4
    for (size_t j = 0; j < vectors; ++j) {
      const Floats v = load(x + i + j * lanes);
      most[j] = v > most[j] ? v : most[j];
      odd[j] |= v != v;
    }
  float top = most[0][0];
  for (size_t j = 0; j < vectors; ++j)
    for (size_t k = 0; k < lanes; ++k) {
      top = std::max(top, most[j][k]);
      numbers &= odd[j][k] == 0;
    }
  return top;
}

float sum_of_exponentials(const float* x, float top, float inverse_temperature) {
  Floats sums[vectors] = {};
  for (size_t i = 0; i < chunk; i += stride)
#pragma GCC unroll 4
    for (size_t j = 0; j < vectors; ++j)
      sums[j] += exp_of_negative((load(x + i + j * lanes) - top) * inverse_temperature);
  const Floats sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace

bool largest_of_chunks(std::span<const float> logits, std::span<float> maxima) {
  bool numbers = true;
  const size_t whole = logits.size() / chunk;
  for (size_t c = 0; c < whole; ++c) maxima[c] = largest(&logits[c * chunk], numbers);
  if (const size_t rest = logits.size() % chunk; rest > 0)
    maxima[whole] = largest(Padded(&logits[whole * chunk], rest).values, numbers);
  return numbers;
}

double sums_of_exponentials(std::span<const float> logits, float top, float inverse_temperature,
                            std::span<double> sums) {
  const size_t whole = logits.size() / chunk;
  for (size_t c = 0; c < whole; ++c)
    sums[c] = double(sum_of_exponentials(&logits[c * chunk], top, inverse_temperature));
  if (const size_t rest = logits.size() % chunk; rest > 0)
    sums[whole] =
        double(sum_of_exponentials(Padded(&logits[whole * chunk], rest).values, top, inverse_temperature));
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace chorus::sampler
