#include "sampler/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "chorus/error.h"
#include "sampler/philox.h"
#include "sampler/scan.h"

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

bool restricts(const SamplingParams& p, size_t vocabulary) {
  return p.top_p < 1 || p.min_p > 0 || (p.top_k > 0 && size_t(p.top_k) < vocabulary);
}

}  // namespace

Error not_finite(float largest) {
  return Error(Fault::internal, "the model's logits are not finite")
      .with("largest", std::isnan(largest) ? "not a number" : std::to_string(largest));
}

Scratch::Scratch(int64_t vocabulary)
    : ids(size_t(vocabulary)),
      counts(size_t(vocabulary)),
      values(size_t(vocabulary)),
      maxima(size_t(chunks_of(vocabulary))),
      sums(size_t(chunks_of(vocabulary))) {}

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

namespace {

/// The largest logit, and those of the chunks in scratch.maxima. All must be numbers, and one of them finite.
float checked_max(std::span<const float> logits, Scratch& scratch) {
  if (!largest_of_chunks(logits, scratch.maxima)) throw not_finite(std::numeric_limits<float>::quiet_NaN());
  const float top = *std::max_element(scratch.maxima.begin(), scratch.maxima.end());
  if (!std::isfinite(top)) throw not_finite(top);
  return top;
}

/// The first token whose logit is the largest.
int32_t first_at_top(std::span<const float> logits, float top, const Scratch& scratch) {
  const auto c = std::find(scratch.maxima.begin(), scratch.maxima.end(), top) - scratch.maxima.begin();
  return int32_t(std::find(logits.begin() + c * int64_t(chunk), logits.end(), top) - logits.begin());
}

/// Puts the ids whose logits are at least `from` in scratch.ids, in order.
size_t candidates(std::span<const float> logits, float from, Scratch& scratch) {
  size_t n = 0;
  for (size_t c = 0; c < scratch.maxima.size(); ++c) {
    if (scratch.maxima[c] < from) continue;
    const size_t end = std::min((c + 1) * chunk, logits.size());
    for (size_t i = c * chunk; i < end; ++i) {
      scratch.ids[n] = int32_t(i);
      n += logits[i] >= from;
    }
  }
  return n;
}

double weight_of(float logit, float top, double inverse_temperature) {
  return std::exp((double(logit) - double(top)) * inverse_temperature);
}

/// keep() of logits whose largest, and those of whose chunks, are known.
std::span<const int32_t> keep(std::span<const float> logits, float top, const SamplingParams& p, Scratch& scratch) {
  const double wanted = p.top_p < 1 ? p.top_p * sums_of_exponentials(logits, top, 1, scratch.sums) : 0;
  const auto weight = [&](int32_t id) { return weight_of(logits[size_t(id)], top, 1); };
  const float least = p.min_p > 0 ? top + float(std::log(p.min_p)) : -std::numeric_limits<float>::infinity();
  const size_t most = p.top_k > 0 ? std::min(size_t(p.top_k), logits.size()) : logits.size();

  // Candidates: all tokens within a distance of the likeliest, which grows until one of the cuts lies among them.
  size_t n = 0;
  for (float distance = 6;; distance *= 1.25f) {
    const float from = std::max(least, distance < 1000 ? top - distance : -std::numeric_limits<float>::infinity());
    n = candidates(logits, from, scratch);
    if (from == least || (p.top_k > 0 && n >= most)) break;
    double mass = 0;
    for (size_t i = 0; i < n && p.top_p < 1; ++i) mass += weight(scratch.ids[i]);
    if (p.top_p < 1 && mass >= wanted * (1 + 1e-6)) break;
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
    while (kept < n && above < wanted) above += weight(scratch.ids[kept++]);
    n = kept;
  }
  return {scratch.ids.data(), std::max<size_t>(n, 1)};
}

/// The token of `kept` in whose share the random number falls.
int32_t draw(std::span<const float> logits, std::span<const int32_t> kept, float top, double inverse_temperature,
             double uniform, Scratch& scratch) {
  const auto weights = std::span(scratch.values).first(kept.size());
  double total = 0, sum = 0;
  for (size_t i = 0; i < kept.size(); ++i)
    total += weights[i] = weight_of(logits[size_t(kept[i])], top, inverse_temperature);
  size_t i = 0;
  while (i + 1 < kept.size() && (sum += weights[i]) <= uniform * total) ++i;
  return kept[i];
}

/// The same of all tokens, in their order: the sums of the chunks say which one to look into.
int32_t draw(std::span<const float> logits, float top, double inverse_temperature, double uniform, Scratch& scratch) {
  const std::span<const double> sums(scratch.sums);
  double rest = uniform * sums_of_exponentials(logits, top, float(inverse_temperature), scratch.sums);
  size_t c = 0;
  for (; c + 1 < sums.size() && sums[c] <= rest; ++c) rest -= sums[c];
  while (sums[c] == 0) --c;  // rounding may leave a little behind the last that counts
  size_t last = c * chunk;
  for (size_t i = last; i < std::min((c + 1) * chunk, logits.size()); ++i) {
    const double weight = weight_of(logits[i], top, inverse_temperature);
    if (weight > 1e-38) last = i;
    if (weight > rest) return int32_t(i);
    rest -= weight;
  }
  return int32_t(last);
}

}  // namespace

std::span<const int32_t> keep(std::span<const float> logits, const SamplingParams& p, Scratch& scratch) {
  return keep(logits, checked_max(logits, scratch), p, scratch);
}

Sampled sample(std::span<float> logits, const SamplingParams& p, std::span<const int32_t> tokens, uint64_t row_key,
               int64_t position, Scratch& scratch) {
  apply_penalties(logits, p, tokens, scratch);
  const float top = checked_max(logits, scratch);
  int32_t id;
  if (p.temperature == 0) {
    id = first_at_top(logits, top, scratch);
  } else {
    const double inverse = 1 / p.temperature;
    const double u = uniform(p.seed, row_key, position);
    id = restricts(p, logits.size()) ? draw(logits, keep(logits, top, p, scratch), top, inverse, u, scratch)
                                     : draw(logits, top, inverse, u, scratch);
  }
  float logprob = 0;
  if (p.logprobs)
    logprob = float(double(logits[size_t(id)]) - double(top) -
                    std::log(sums_of_exponentials(logits, top, 1, scratch.sums)));
  return {id, logprob};
}

}  // namespace chorus::sampler
