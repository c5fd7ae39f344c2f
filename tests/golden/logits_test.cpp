// Logits against the real mlx-lm, within the gates of the design's section on numerics.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "chorus/model.h"
#include "golden/golden_model.h"

namespace chorus {
namespace {

using golden::GoldenModel;

struct Case {
  const char* name;
  const char* why;
  double mlx_bf16_error;  ///< mean |bf16 - f32| of MLX's own bf16 run, from the goldens' table
};
const Case cases[] = {
    {"tiny-gpt-oss-mxfp4-q8", "what the user has: mxfp4 experts, 8-bit rest", 0.057},
    {"tiny-gpt-oss-top4-mxfp4-q8-sharded", "shards, overrides without mode, hidden 192", 0.039},
    {"tiny-gpt-oss-4bit-gs32", "affine 4-bit, groups of 32, experts too", 0.041},
    {"tiny-gpt-oss-4bit-gs64", "affine 4-bit, groups of 64", 0.042},
    {"tiny-gpt-oss-bf16", "not quantised", 0.021},
    {"tiny-gpt-oss-hf-mxfp4", "OpenAI's own spelling", 0.018},
};
constexpr int lengths[] = {1, 5, 17, 64, 200};

class GptOss : public testing::TestWithParam<Case> {
 protected:
  GptOss() : golden_(GetParam().name) {}
  void SetUp() override {
    if (golden_.exists()) return;
    ASSERT_STRNE(GetParam().name, cases[0].name) << "ships with the tests";
    GTEST_SKIP() << golden_.missing();
  }
  Model load(const char* precision) { return load_model(golden_.folder(), {.device = "cpu", .precision = precision}); }

  GoldenModel golden_;
};

double max_error(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::isfinite(a[i]) ? std::abs(double(a[i]) - double(b[i])) : INFINITY);
  return worst;
}

int argmax(std::span<const float> row) { return int(std::max_element(row.begin(), row.end()) - row.begin()); }

float margin(std::span<const float> row) {
  std::vector<float> sorted(row.begin(), row.end());
  std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
  return sorted[0] - sorted[1];
}

/// Logits of the prompt with every row that the goldens have: all of them, or each fifth of the longest.
std::vector<float> golden_rows(const SafetensorsFile& file, int n) {
  return golden::values<float>(file, n == 200 ? "nocache_every5.f32.200" : "nocache.f32." + std::to_string(n));
}
std::vector<float> our_rows(const Logits& logits, int n) {
  if (n < 200) return logits.values;
  std::vector<float> rows;
  for (int64_t t = 4; t < n; t += 5) rows.insert(rows.end(), logits.row(t).begin(), logits.row(t).end());
  return rows;
}

TEST_P(GptOss, ExactLogitsEqualMlxF32WithoutCacheByTokenAndInChunks) {
  const Model model = load("exact");
  const SafetensorsFile expected = golden_.tensors();
  double worst = 0;
  for (const int n : lengths) {
    SCOPED_TRACE(n);
    const auto prompt = golden::values<int32_t>(expected, "prompt." + std::to_string(n));
    worst = std::max(worst, max_error(our_rows(model(prompt), n), golden_rows(expected, n)));

    PromptCache by_token = make_prompt_cache(model, n);
    Logits last;
    for (const int32_t id : prompt) last = model(std::span(&id, 1), by_token);
    worst = std::max(worst, max_error(last.values, golden::values<float>(expected, "step_last.f32." + std::to_string(n))));

    PromptCache in_chunks = make_prompt_cache(model, n);
    std::vector<float> ends;
    for (size_t i = 0; i < prompt.size(); i += 24) {
      const Logits chunk = model(std::span(prompt).subspan(i, std::min<size_t>(24, prompt.size() - i)), in_chunks);
      ends.insert(ends.end(), chunk.row(chunk.tokens - 1).begin(), chunk.row(chunk.tokens - 1).end());
    }
    worst = std::max(worst, max_error(ends, golden::values<float>(expected, "chunk_last.f32." + std::to_string(n))));
  }
  EXPECT_LE(worst, 2e-3);
  RecordProperty("worst_absolute_error", std::to_string(worst));
  std::printf("             %s: worst |difference| to MLX f32 %.2g\n", GetParam().name, worst);
}

TEST_P(GptOss, ExactGreedyTokensEqualMlx) {
  const Model model = load("exact");
  const SafetensorsFile expected = golden_.tensors();
  for (const int n : lengths) {
    SCOPED_TRACE(n);
    const auto prompt = golden::values<int32_t>(expected, "prompt." + std::to_string(n));
    const auto tokens = golden::values<int32_t>(expected, "greedy.f32." + std::to_string(n) + ".tokens");
    PromptCache cache = make_prompt_cache(model, n + int64_t(tokens.size()));
    Logits logits = model(prompt, cache);
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto row = logits.row(logits.tokens - 1);
      if (argmax(row) != tokens[i]) {
        EXPECT_LT(margin(row), 1e-3) << "token " << i;
        break;  // a near-tie: either token is right, and the sequences part
      }
      logits = model(std::span(&tokens[i], 1), cache);
    }
  }
}

TEST_P(GptOss, FastStaysWithinItsGate) {
  const Model model = load("fast");
  const SafetensorsFile expected = golden_.tensors();
  double sum = 0;
  int64_t count = 0, rows = 0, clear = 0, wrong = 0;
  for (const int n : lengths) {
    const auto prompt = golden::values<int32_t>(expected, "prompt." + std::to_string(n));
    const std::vector<float> theirs = golden_rows(expected, n), ours = our_rows(model(prompt), n);
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t i = 0; i < ours.size(); ++i) sum += std::abs(double(ours[i]) - double(theirs[i]));
    count += int64_t(ours.size());
    const size_t v = size_t(model.vocabulary());
    for (size_t i = 0; i < ours.size(); i += v, ++rows) {
      const std::span<const float> row(&theirs[i], v);
      if (margin(row) <= 1) continue;
      ++clear;
      wrong += argmax({&ours[i], v}) != argmax(row);
    }
  }
  EXPECT_LE(sum / double(count), 4 * GetParam().mlx_bf16_error);
  EXPECT_LE(wrong, (rows * 2 + 99) / 100) << "of " << clear << " rows with a clear winner";
  std::printf("             %s: mean |difference| to MLX f32 %.3f, %.1fx that of MLX's own bf16; argmax differs in %d of %d clear rows\n",
              GetParam().name, sum / double(count), sum / double(count) / GetParam().mlx_bf16_error, int(wrong), int(clear));
}

INSTANTIATE_TEST_SUITE_P(Models, GptOss, testing::ValuesIn(cases), [](const auto& param) {
  std::string name = param.param.name + sizeof "tiny-gpt-oss";
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace chorus
