// Rotary frequencies of every kind of rope_scaling.
#include <cmath>
#include <filesystem>

#include "base/json.h"
#include "chorus/error.h"
#include "goldens.h"
#include "model/config.h"
#include "weights/safetensors.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

constexpr const char* yarn_gpt_oss =
    R"({"rope_theta": 150000, "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0,
    "factor": 32.0, "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": true}})";
constexpr const char* yarn_qwen = R"({"rope_theta": 1000000, "rope_scaling": {"type": "yarn", "factor": 4.0,
    "original_max_position_embeddings": 32768}})";
constexpr const char* llama3 = R"({"rope_theta": 500000, "rope_scaling": {"rope_type": "llama3", "factor": 32.0,
    "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})";

RopeConfig rope_of(const std::string& config) {
  return rope_config(parse_json(config, "config.json"), 64);
}

struct Case {
  const char* why;
  const char* config;
  float scale;
  std::vector<std::pair<size_t, double>> frequencies;  ///< computed apart, from the papers' formulas
};

TEST(Rope, FrequenciesOfEveryKind) {
  const Case cases[] = {
      {"nothing said", "{}", 1, {{0, 1}, {8, 0.1}, {16, 0.01}, {31, 0.000133352143}}},
      {"null", R"({"rope_theta": 10000.0, "rope_scaling": null})", 1, {{8, 0.1}, {31, 0.000133352143}}},
      {"default", R"({"rope_scaling": {"rope_type": "default"}})", 1, {{8, 0.1}, {31, 0.000133352143}}},
      {"transformers 5's key",
       R"({"rope_parameters": {"rope_type": "default", "rope_theta": 10000}})",
       1,
       {{8, 0.1}}},
      {"linear",
       R"({"rope_scaling": {"type": "linear", "factor": 8.0}})",
       1,
       {{0, 0.125}, {8, 0.0125}, {13, 0.00296421713}, {31, 1.66690179e-05}}},
      {"yarn, range rounded as mlx-lm does",
       yarn_gpt_oss,
       1.3465735902799727f,
       {{0, 1},
        {8, 0.0508132748},
        {9, 0.0316207523},
        {12, 0.00701571391},
        {16, 0.000580947502},
        {18, 3.83088124e-05},
        {31, 3.02351143e-07}}},
      {"yarn as OpenAI publishes it, range as it is",
       R"({"rope_theta": 150000, "rope_scaling": {"factor": 32.0, "original_max_position_embeddings": 4096,
           "rope_type": "yarn", "truncate": false}})",
       1.3465735902799727f,
       {{0, 1},
        {8, 0.0508132748},
        {9, 0.0317056962},
        {12, 0.00679495949},
        {16, 0.000456483919},
        {18, 3.83088124e-05}}},
      {"yarn of another family",
       yarn_qwen,
       1.138629436111989f,
       {{0, 1}, {9, 0.0205352503}, {12, 0.00515479548}, {16, 0.000583333333}, {18, 0.000175706876}}},
      {"llama3",
       llama3,
       1,
       {{0, 1},
        {8, 0.0376060309},
        {13, 0.00483942135},
        {14, 0.00321144599},
        {15, 0.00129054793},
        {16, 0.000429556797},
        {20, 8.57025549e-06},
        {31, 9.41830673e-08}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    const RopeConfig rope = rope_of(c.config);
    ASSERT_EQ(rope.frequencies.size(), 32u);
    EXPECT_FLOAT_EQ(rope.scale, c.scale);
    for (const auto& [i, expected] : c.frequencies) EXPECT_NEAR(rope.frequencies[i] / expected, 1, 1e-6) << i;
  }
}

TEST(Rope, FrequenciesAreThoseOfMlxLm) {
  const std::string file = "ops/rope.safetensors";
  if (test::golden(file).empty()) GTEST_SKIP() << test::no_golden(file);
  const SafetensorsFile golden(test::golden(file));
  for (const auto& [name, config] :
       {std::pair{"yarn_gpt_oss.freqs", yarn_gpt_oss}, {"yarn_qwen.freqs", yarn_qwen}, {"llama3.freqs", llama3}}) {
    SCOPED_TRACE(name);
    const StoredTensor* periods = golden.find(name);
    ASSERT_NE(periods, nullptr);
    const RopeConfig rope = rope_of(config);
    for (size_t i = 0; i < 32; ++i) {
      float period;  // mlx-lm keeps 1 / frequency
      std::memcpy(&period, golden.bytes(*periods).data() + 4 * i, 4);
      EXPECT_NEAR(rope.frequencies[i] * period, 1, 3e-6) << i;
    }
  }
}

TEST(Rope, BadScalingIsRefusedByName) {
  struct Bad {
    const char* config;
    const char* expected;
  };
  for (const Bad& c : {Bad{R"({"rope_scaling": {"rope_type": "longrope"}})", "longrope"},
                       {R"({"rope_scaling": {"rope_type": 3}})", "rope_type"},
                       {R"({"rope_scaling": "yarn"})", "an object"},
                       {R"({"rope_scaling": {"type": "linear", "factor": 0}})", "factor"},
                       {R"({"rope_scaling": {"type": "yarn", "factor": "32"}})", "factor"},
                       {R"({"rope_scaling": {"type": "yarn", "factor": 2, "truncate": 1}})", "truncate"},
                       {R"({"rope_scaling": {"type": "llama3", "low_freq_factor": 4, "high_freq_factor": 4}})",
                        "high_freq_factor"},
                       {R"({"rope_theta": 1})", "rope_theta"},
                       {R"({"rope_theta": "10000"})", "rope_theta"}}) {
    const std::string text = error_of<Error>([&] { rope_of(c.config); });
    EXPECT_NE(text.find(c.expected), std::string::npos) << c.config << "\n" << text;
  }
}

}  // namespace
}  // namespace chorus
