#include "sampler/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "chorus/error.h"
#include "sampler/philox.h"

namespace chorus {
namespace {

void require(bool holds, const char* field, const char* expected, double actual) {
  if (!holds)
    throw Error(Fault::usage, "bad sampling parameter")
        .with("parameter", field).with("expected", expected).with("actual", actual);
}

}  // namespace

void check(const SamplingParams& p, int64_t vocabulary) {
  require(p.temperature >= 0 && std::isfinite(p.temperature), "temperature", "a number from 0", p.temperature);
  require(p.top_p > 0 && p.top_p <= 1, "top_p", "above 0, at most 1", p.top_p);
  require(p.top_k >= 0, "top_k", "0 (off) or more", double(p.top_k));
  require(p.min_p >= 0 && p.min_p <= 1, "min_p", "from 0 to 1", p.min_p);
  require(p.repetition_penalty > 0 && std::isfinite(p.repetition_penalty), "repetition_penalty", "above 0",
          p.repetition_penalty);
  require(std::isfinite(p.presence_penalty), "presence_penalty", "a finite number", p.presence_penalty);
  require(std::isfinite(p.frequency_penalty), "frequency_penalty", "a finite number", p.frequency_penalty);
  require(p.penalty_window >= 0, "penalty_window", "0 (all) or more", double(p.penalty_window));
  for (const auto& [id, bias] : p.logit_bias) {
    require(id >= 0 && id < vocabulary, "logit_bias", "token ids of the vocabulary", id);
    require(!std::isnan(bias) && bias < std::numeric_limits<float>::infinity(), "logit_bias", "finite biases, or -inf",
            double(bias));
  }
}

}  // namespace chorus

namespace chorus::sampler {
namespace {

/// The largest logit. All must be numbers, and one of them finite.
float checked_max(std::span<const float> logits) {
  float top = -std::numeric_limits<float>::infinity();
  bool nan = false;
  for (const float v : logits) {
    top = v > top ? v : top;
    nan |= v != v;
  }
  if (nan || !std::isfinite(top)) throw not_finite(nan ? std::numeric_limits<float>::quiet_NaN() : top);
  return top;
}

/// e^x for x <= 0, in a form that compilers vectorise. Relative error under 3e-7; 0 below -87.
float exp_of_negative(float x) {
  const float clamped = x > -87.f ? x : -87.f;
  const float shifted = clamped * 1.44269504f + 12582912.f;  // the integer lands in the lowest bits of the mantissa
  const float n = shifted - 12582912.f;
  float r = clamped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.98412698e-4f;
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000u;
  return x > -87.f ? p * std::bit_cast<float>(exponent) : 0.f;
}

constexpr size_t chunk = 512;  // values whose sum is taken in one go

/// weights[i] = e^((logits[i] - top) / temperature); their sum, chunk by chunk in doubles.
double exponentials(std::span<const float> logits, float top, float inverse_temperature, std::span<float> weights) {
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += chunk) {
    const size_t end = std::min(begin + chunk, logits.size());
    for (size_t i = begin; i < end; ++i) weights[i] = exp_of_negative((logits[i] - top) * inverse_temperature);
    float lanes[8] = {};
    size_t i = begin;
    for (; i + 8 <= end; i += 8)
      for (size_t j = 0; j < 8; ++j) lanes[j] += weights[i + j];
    for (; i < end; ++i) lanes[0] += weights[i];
    for (const float lane : lanes) total += double(lane);
  }
  return total;
}

/// The first index at which the running sum of weights passes `target`.
size_t find_in_sums(std::span<const float> weights, double target) {
  double sum = 0;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) last = i;  // rounding may leave the target just above the sum of all
    if ((sum += double(weights[i])) > target) return i;
  }
  return last;
}

bool restricts(const SamplingParams& p, size_t vocabulary) {
  return p.top_p < 1 || p.min_p > 0 || (p.top_k > 0 && size_t(p.top_k) < vocabulary);
}

}  // namespace

Error not_finite(float largest) {
  return Error(Fault::internal, "the model's logits are not finite")
      .with("largest", std::isnan(largest) ? "not a number" : std::to_string(largest));
}

Scratch::Scratch(int64_t vocabulary)
    : ids(size_t(vocabulary)), counts(size_t(vocabulary)), values(size_t(vocabulary)) {}

void apply_penalties(std::span<float> logits, const SamplingParams& p, std::span<const int32_t> tokens,
                     Scratch& scratch) {
  for (const auto& [id, bias] : p.logit_bias) logits[size_t(id)] += bias;
  if (p.repetition_penalty == 1 && p.presence_penalty == 0 && p.frequency_penalty == 0) return;
  if (p.penalty_window > 0 && size_t(p.penalty_window) < tokens.size())
    tokens = tokens.last(size_t(p.penalty_window));
  for (const int32_t id : tokens) ++scratch.counts[size_t(id)];
  for (const int32_t id : tokens) {
    int32_t& count = scratch.counts[size_t(id)];
    if (count == 0) continue;  // was there before
    float& logit = logits[size_t(id)];
    const float repetition = float(p.repetition_penalty);
    if (repetition != 1) logit = logit < 0 ? logit * repetition : logit / repetition;
    logit -= float(p.presence_penalty);
    logit -= float(p.frequency_penalty) * float(count);
    count = 0;
  }
}

std::span<const int32_t> keep(std::span<const float> logits, const SamplingParams& p, Scratch& scratch) {
  const float top = checked_max(logits);
  const double total = p.top_p < 1 ? exponentials(logits, top, 1, scratch.values) : 0;
  const auto weight = [&](int32_t id) { return double(scratch.values[size_t(id)]); };
  const float least = p.min_p > 0 ? top + float(std::log(p.min_p)) : -std::numeric_limits<float>::infinity();
  const size_t most = p.top_k > 0 ? std::min(size_t(p.top_k), logits.size()) : logits.size();

  // Candidates: all tokens within a distance of the likeliest, which grows until one of the cuts lies among them.
  size_t n = 0;
  for (float distance = 8;; distance *= 2) {
    const float from = std::max(least, distance < 1000 ? top - distance : -std::numeric_limits<float>::infinity());
    n = 0;
    double mass = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] < from) continue;
      scratch.ids[n++] = int32_t(i);
      if (p.top_p < 1) mass += double(scratch.values[i]);
    }
    if (from == least || (p.top_k > 0 && n >= most) || (p.top_p < 1 && mass >= p.top_p * total * (1 + 1e-6))) break;
  }
  const auto likelier = [&](int32_t a, int32_t b) {
    return logits[size_t(a)] != logits[size_t(b)] ? logits[size_t(a)] > logits[size_t(b)] : a < b;
  };
  const auto begin = scratch.ids.begin();
  if (most < n) {
    std::nth_element(begin, begin + int64_t(most), begin + int64_t(n), likelier);
    n = most;
  }
  std::sort(begin, begin + int64_t(n), likelier);
  if (p.top_p < 1) {  // a token stays while those above it have not reached top_p
    double above = 0;
    size_t kept = 0;
    while (kept < n && above < p.top_p * total) above += weight(scratch.ids[kept++]);
    n = kept;
  }
  return {scratch.ids.data(), std::max<size_t>(n, 1)};
}

Sampled sample(std::span<float> logits, const SamplingParams& p, std::span<const int32_t> tokens, uint64_t row_key,
               int64_t position, Scratch& scratch) {
  apply_penalties(logits, p, tokens, scratch);
  const float top = checked_max(logits);
  const std::span<float> weights(scratch.values);
  int32_t id;
  if (p.temperature == 0) {
    id = int32_t(std::find(logits.begin(), logits.end(), top) - logits.begin());
  } else {
    const double inverse = 1 / p.temperature;
    const double u = uniform(p.seed, row_key, position);
    if (restricts(p, logits.size())) {
      const std::span<const int32_t> kept = keep(logits, p, scratch);
      double total = 0;
      for (size_t i = 0; i < kept.size(); ++i) {
        weights[i] = float(std::exp((double(logits[size_t(kept[i])]) - double(top)) * inverse));
        total += double(weights[i]);
      }
      id = kept[find_in_sums(weights.first(kept.size()), u * total)];
    } else {
      const double total = exponentials(logits, top, float(inverse), weights);
      id = int32_t(find_in_sums(weights.first(logits.size()), u * total));
    }
  }
  float logprob = 0;
  if (p.logprobs)
    logprob = float(double(logits[size_t(id)]) - double(top) - std::log(exponentials(logits, top, 1, weights)));
  return {id, logprob};
}

}  // namespace chorus::sampler
