// Microseconds to draw one token from 201,088 logits (gpt-oss), on one thread, for the parameters that people use:
//   sampler_bench
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

#include "sampler/sampler.h"

namespace chorus::sampler {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t vocabulary = 201088, rows = 29;

struct Case {
  const char* name;
  SamplingParams params;
};
const Case cases[] = {
    {"greedy", {}},
    {"greedy, log-probability", {.logprobs = true}},
    {"temperature 1", {.temperature = 1}},
    {"temperature 0.7, top_p 0.95", {.temperature = 0.7, .top_p = 0.95}},
    {"temperature 0.7, top_k 40", {.temperature = 0.7, .top_k = 40}},
    {"temperature 0.7, min_p 0.05", {.temperature = 0.7, .min_p = 0.05}},
};

/// Median of rounds over all rows, whose logits lie in memory as a step leaves them.
double microseconds(const SamplingParams& params, std::vector<float>& logits) {
  Scratch scratch(vocabulary);
  std::vector<double> rounds;
  for (int round = 0; round < 15; ++round) {
    const Clock::time_point begin = Clock::now();
    for (int64_t r = 0; r < rows; ++r)
      sample(std::span(logits).subspan(size_t(r * vocabulary), vocabulary), params, {}, uint64_t(r), round,
             scratch);
    rounds.push_back(std::chrono::duration<double>(Clock::now() - begin).count() * 1e6 / rows);
  }
  std::nth_element(rounds.begin(), rounds.begin() + 7, rounds.end());
  return rounds[7];
}

}  // namespace
}  // namespace chorus::sampler

int main() {
  using namespace chorus::sampler;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(size_t(vocabulary * rows));
  for (float& v : logits) v = normal(random);
  for (const Case& c : cases) fmt::print("{:<28} {:8.1f} us\n", c.name, microseconds(c.params, logits));
}
