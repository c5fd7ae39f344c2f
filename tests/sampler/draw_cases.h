#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "ops/random_ops.h"
#include "sampler/draw_plan.h"

namespace chorus::test {

struct DrawCase {
  const char* why;
  SamplingParams params;
};

inline std::vector<DrawCase> draw_cases() {
  std::vector<DrawCase> cases = {
      {"greedy", {}},
      {"temperature", {.temperature = 1}},
      {"cold", {.temperature = 0.2}},
      {"hot", {.temperature = 3}},
      {"top_p", {.temperature = 1, .top_p = 0.9}},
      {"top_p that keeps the likeliest alone", {.temperature = 1, .top_p = 1e-6}},
      {"top_p that keeps nearly all", {.temperature = 0.8, .top_p = 0.9999}},
      {"top_k of one", {.temperature = 1, .top_k = 1}},
      {"top_k", {.temperature = 0.7, .top_k = 40}},
      {"top_k of all but a few", {.temperature = 1.5, .top_k = 990}},
      {"min_p", {.temperature = 1, .min_p = 0.05}},
      {"min_p that keeps ties with the likeliest alone", {.temperature = 1, .min_p = 1}},
      {"all of them", {.temperature = 0.9, .top_p = 0.95, .top_k = 50, .min_p = 0.01}},
      {"penalties", {.temperature = 1, .repetition_penalty = 1.3, .presence_penalty = 0.4, .frequency_penalty = 0.2}},
      {"penalties over all tokens, greedy", {.repetition_penalty = 1.2, .penalty_window = 0}},
      {"bias that forbids, and one that wishes",
       {.temperature = 1,
        .top_p = 0.9,
        .logit_bias = {{3, -std::numeric_limits<float>::infinity()}, {5, 4.f}, {5, 0.5f}}}},
      {"logprob of a cut row", {.temperature = 0.6, .top_k = 20}},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    cases[i].params.seed = 7 + i;
    cases[i].params.logprobs = i % 3 != 1;
  }
  return cases;
}

/// Logits and requests, one per case and round.
struct DrawBatch {
  DrawBatch(Memory& memory, Random& random, int64_t vocabulary, int rounds, float spread) : cases(draw_cases()) {
    const auto rows = int64_t(cases.size()) * rounds;
    logits = random.normals(memory, {rows, vocabulary});
    for (float& v : logits.values<float>()) v *= spread;
    for (int64_t r = 0; r < rows; ++r) {
      for (int i = 0; i < 30; ++i) tokens.emplace_back(int32_t(random.below(std::min<int64_t>(vocabulary, 40))));
      // two of the likeliest are equal
      const auto row = logits.row<float>(r);
      row[size_t(vocabulary / 2)] = row[size_t(vocabulary - 1)] = 4.5f * spread;
    }
    for (int64_t r = 0; r < rows; ++r)
      requests.push_back({.params = &cases[size_t(r) % cases.size()].params,
                          .tokens = std::span<const int32_t>(tokens).subspan(size_t(r) * 30, 30),
                          .row_key = uint64_t(r) * 17,
                          .logits = int32_t(r)});
  }

  std::vector<DrawCase> cases;
  std::vector<int32_t> tokens;
  std::vector<sampler::DrawRequest> requests;
  Tensor logits;
};

/// The op on the host, from what a DrawPlan made.
inline Draw host_draw(const DrawBatch& batch, const sampler::DrawPlan& plan) {
  const auto structs = [](const auto& values) {
    return Tensor(DType::u8, {int64_t(values.size()), int64_t(sizeof(values[0]))},
                  const_cast<void*>(static_cast<const void*>(values.data())));
  };
  return {.logits = batch.logits, .rows = structs(plan.rows()), .changes = structs(plan.changes()), .out = {}};
}

}  // namespace chorus::test
