#include "sampler/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>

#include "base/json.h"
#include "chorus/error.h"
#include "goldens.h"
#include "sampler/scan.h"
#include "weights/safetensors.h"

namespace chorus::sampler {
namespace {

class Goldens : public testing::Test {
 protected:
  void SetUp() override {
    file_ = std::make_unique<SafetensorsFile>(test::golden("sampling/sampling.safetensors"));
    index_ = read_json(test::golden("sampling/index.json"));
  }
  template <typename T>
  std::vector<T> values(const std::string& name) const {
    const auto bytes = file_->bytes(*file_->find(name));
    std::vector<T> out(bytes.size() / sizeof(T));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  static constexpr size_t vocabulary = 128, rows = 5;

  std::unique_ptr<SafetensorsFile> file_;
  Json index_;
};

TEST_F(Goldens, TopPMinPAndTopKKeepWhatMlxLmKeeps) {
  Scratch scratch(vocabulary);
  int cases = 0;
  for (const Json& c : index_["cases"]) {
    const std::string name = c["name"], fn = c["fn"];
    SamplingParams p;
    if (fn == "apply_top_p") p.top_p = c["top_p"];
    else if (fn == "apply_min_p" && c["min_tokens_to_keep"] == 1) p.min_p = c["min_p"];
    else if (fn == "apply_top_k") p.top_k = c["top_k"];
    else continue;
    SCOPED_TRACE(name);
    ++cases;
    const auto input = values<float>("logprobs"), expected = values<float>(name);
    for (size_t r = 0; r < rows; ++r) {
      const auto kept = keep(std::span(input).subspan(r * vocabulary, vocabulary), p, scratch);
      std::vector<bool> ours(vocabulary), theirs(vocabulary);
      for (const int32_t id : kept) ours[size_t(id)] = true;
      for (size_t i = 0; i < vocabulary; ++i) theirs[i] = std::isfinite(expected[r * vocabulary + i]);
      EXPECT_EQ(ours, theirs) << "row " << r;
    }
  }
  EXPECT_EQ(cases, 6 + 4 + 5);
}

TEST_F(Goldens, PenaltiesAndBiasEqualMlxLm) {
  Scratch scratch(vocabulary);
  const auto tokens = values<int32_t>("tokens");
  int cases = 0;
  for (const Json& c : index_["cases"]) {
    const std::string name = c["name"], fn = c["fn"];
    SamplingParams p;
    if (c.contains("context_size")) p.penalty_window = c["context_size"];
    if (fn == "repetition_penalty") p.repetition_penalty = c["penalty"];
    else if (fn == "presence_penalty") p.presence_penalty = c["penalty"];
    else if (fn == "frequency_penalty") p.frequency_penalty = c["penalty"];
    else if (fn == "logit_bias")
      for (const auto& [id, bias] : c["logit_bias"].items()) p.logit_bias.emplace_back(std::stoi(id), bias.get<float>());
    else continue;
    SCOPED_TRACE(name);
    ++cases;
    auto logits = values<float>("logits");
    const auto expected = values<float>(name);
    for (size_t r = 0; r < rows; ++r) apply_penalties(std::span(logits).subspan(r * vocabulary, vocabulary), p, tokens, scratch);
    for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-5) << i;
  }
  EXPECT_EQ(cases, 6 + 4 + 4 + 1);
}

struct Case {
  const char* why;
  SamplingParams params;
};
const Case drawn[] = {
    {"temperature alone", {.temperature = 1}},
    {"cold", {.temperature = 0.5}},
    {"top_k renormalises", {.temperature = 1, .top_k = 3}},
    {"top_p and min_p", {.temperature = 1.5, .top_p = 0.9, .min_p = 0.05}},
};

TEST(Sample, DrawsFollowTheProbabilities) {
  const std::vector<float> logits = {0.3f, 2, -1, 1.5f, 0, 1.9f, -3, 0.8f};
  for (const Case& c : drawn) {
    SCOPED_TRACE(c.why);
    Scratch scratch(int64_t(logits.size()));
    const auto kept = keep(logits, c.params, scratch);
    std::map<int32_t, double> probability;
    double total = 0;
    for (const int32_t id : kept) total += probability[id] = std::exp(double(logits[size_t(id)]) / c.params.temperature);
    constexpr int draws = 40000;
    std::map<int32_t, int> count;
    for (int i = 0; i < draws; ++i) {
      std::vector<float> row = logits;
      ++count[sample(row, c.params, {}, 5, i, scratch).token_id];
    }
    double chi_square = 0;
    for (const auto& [id, p] : probability) {
      const double expected = draws * p / total;
      chi_square += (count[id] - expected) * (count[id] - expected) / expected;
    }
    EXPECT_LT(chi_square, 24.3) << "99.9 % stay below with at most 7 degrees of freedom";
    EXPECT_EQ(count.size(), probability.size());
  }
}

TEST(Sample, GreedyTakesTheLowestOfEquals) {
  Scratch scratch(4);
  std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(sample(logits, {}, {}, 0, 0, scratch).token_id, 1);
  EXPECT_EQ(sample(logits, {.temperature = 1, .top_k = 1}, {}, 9, 9, scratch).token_id, 1);
}

TEST(Sample, NeverDrawsWhatIsForbidden) {
  constexpr size_t vocabulary = 3 * chunk + 5;
  const float inf = std::numeric_limits<float>::infinity();
  Scratch scratch(vocabulary);
  for (const size_t allowed : {size_t(0), chunk - 1, chunk, 2 * chunk + 7, vocabulary - 1})
    for (int i = 0; i < 200; ++i) {
      std::vector<float> logits(vocabulary, -inf);
      logits[allowed] = -3;
      ASSERT_EQ(sample(logits, {.temperature = 1, .seed = uint64_t(i)}, {}, 1, i, scratch).token_id, int32_t(allowed));
    }
}

TEST(Sample, LogprobIsThatOfAllTokens) {
  Scratch scratch(3);
  std::vector<float> logits = {0, 1, 2};
  const Sampled s = sample(logits, {.logprobs = true}, {}, 0, 0, scratch);
  EXPECT_NEAR(s.logprob, 2 - std::log(1 + std::exp(1.0) + std::exp(2.0)), 1e-6);
}

TEST(Sample, LogitsThatAreNoNumbersAreAnError) {
  Scratch scratch(2);
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& bad : {std::vector{nan, 1.f}, std::vector{1.f, nan}, std::vector{inf, 1.f}, std::vector{-inf, -inf}})
    for (const double temperature : {0., 1.}) {
      std::vector<float> logits = bad;
      EXPECT_THROW(sample(logits, {.temperature = temperature}, {}, 0, 0, scratch), Error);
    }
}

TEST(Check, NamesTheParameter) {
  const std::pair<const char*, SamplingParams> bad[] = {
      {"temperature", {.temperature = -1}}, {"top_p", {.top_p = 0}},      {"top_p", {.top_p = 1.5}},
      {"top_k", {.top_k = -1}},             {"min_p", {.min_p = 2}},      {"repetition_penalty", {.repetition_penalty = 0}},
      {"logit_bias", {.logit_bias = {{7, 0.f}}}}, {"penalty_window", {.penalty_window = -1}},
  };
  for (const auto& [name, params] : bad) {
    try {
      check(params, 7);
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::usage);
      EXPECT_NE(e.one_line().find(name), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace chorus::sampler
