// The engine on a device: rows of their own, bit for bit; the CPU's tokens but for near ties; memory that does not
// grow. Without a device they are skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backend/cuda/cuda.h"
#include "chorus/replicas.h"
#include "engine/model_state.h"
#include "engine/row_rule.h"
#include "golden/golden_model.h"
#include "ops/reference/draw.h"
#include "sampler/draw_plan.h"

namespace chorus::test {
namespace {

class CudaEngine : public testing::Test {
 protected:
  CudaEngine() : golden_("tiny-gpt-oss-mxfp4-q8") {}
  void SetUp() override {
    if (cuda::device_count() == 0)
      GTEST_SKIP() << "SKIPPED: no CUDA device here, or no CUDA backend in this build";
    if (!golden_.exists()) GTEST_SKIP() << "SKIPPED: the golden model is not on this machine";
  }
  Model load(const char* device) { return load_model(golden_.folder(), {.device = device, .precision = "exact"}); }

  golden::GoldenModel golden_;
};

TEST_F(CudaEngine, EveryRowGivesWhatItGivesAlone) { expect_rows_of_their_own(load("cuda"), 2); }

/// How the device's token at `position` of a row's answer looks to the CPU: that it could be drawn there at all, from
/// logits that are off by what bf16 gives.
bool plausible(const Model& cpu, const Request& row, const TokenIds& answer, size_t position) {
  TokenIds tokens = row.prompt;
  tokens.insert(tokens.end(), answer.begin(), answer.begin() + int64_t(position));
  Logits logits = cpu(tokens);
  const int64_t last = logits.tokens - 1;
  const int32_t token = answer[position];
  if (row.sampling.temperature == 0) {
    const auto of_row = logits.row(last);
    return *std::max_element(of_row.begin(), of_row.end()) - of_row[size_t(token)] < 0.5f ||
           row.sampling.repetition_penalty != 1;
  }
  sampler::DrawPlan plan(logits.vocabulary, 1);
  const sampler::DrawRequest request{
      .params = &row.sampling, .tokens = tokens, .row_key = row.row_key, .logits = int32_t(last)};
  plan.make({&request, 1});
  const auto structs = [](const auto& values) {
    return Tensor(DType::u8, {int64_t(values.size()), int64_t(sizeof(values[0]))},
                  const_cast<void*>(static_cast<const void*>(values.data())));
  };
  const reference::Shares shares =
      reference::draw({.logits = Tensor(DType::f32, {logits.tokens, logits.vocabulary}, logits.values.data()),
                       .rows = structs(plan.rows()),
                       .changes = structs(plan.changes()),
                       .out = {}},
                      0);
  return shares.may_be(token, plan.rows()[0].uniform, 0.25);
}

TEST_F(CudaEngine, DrawsTheCpusTokensButForNearTies) {
  const Model cpu = load("cpu"), device = load("cuda");
  const std::vector<Request> rows = random_rows(9, cpu.vocabulary());
  const auto expected = run(cpu, rows, {.max_rows = 40, .context = 256});
  const auto actual = run(device, rows, {.max_rows = 40, .context = 256});
  size_t same_tokens = 0, tokens = 0, strange = 0;
  for (const Request& row : rows) {
    const TokenIds &a = actual.at(row.id).token_ids, &e = expected.at(row.id).token_ids;
    const auto [first, other] = std::mismatch(a.begin(), a.end(), e.begin(), e.end());
    const auto same = size_t(first - a.begin());
    same_tokens += same;
    tokens += e.size();
    if (same < std::min(a.size(), e.size()) && !plausible(cpu, row, a, same)) ++strange;
  }
  std::printf("%zu of %zu tokens before a row's first difference\n", same_tokens, tokens);
  EXPECT_GE(same_tokens, tokens / 2);
  EXPECT_LE(strange, 2u) << "of 40 rows, at the first token that differs: routing may flip";
}

TEST_F(CudaEngine, TwoOnADeviceAnswerOneQueueAsOneDoes) {
  const std::vector<Model> models = load_replicas(golden_.folder(), {.device = "cuda:0,cuda:0", .memory_bytes = 1 << 30});
  ASSERT_EQ(models.size(), 2u);
  const std::vector<Request> rows = random_rows(4, models[0].vocabulary());
  const auto expected = run(load("cuda"), rows, {.max_rows = 40, .context = 256});
  Replicas replicas(models, nullptr, {.max_rows = 3, .context = 256});
  for (const Request& row : rows) replicas.add(row);
  std::map<std::string, Result> results;
  while (replicas.step([&](const Event& event) {
    if (const auto* end = std::get_if<FinishedEvent>(&event)) results[end->result.id] = end->result;
  })) {
  }
  ASSERT_EQ(results.size(), rows.size());
  for (const auto& [id, result] : results) {
    EXPECT_EQ(result.token_ids, expected.at(id).token_ids);
    EXPECT_EQ(result.logprobs, expected.at(id).logprobs);
  }
}

TEST_F(CudaEngine, StepsTakeNoMemoryAfterTheFirst) {
  const Model model = load("cuda");
  Engine engine(model, {.max_rows = 8, .max_step_tokens = 64, .context = 512});
  for (int i = 0; i < 8; ++i) {
    Request row{.id = std::to_string(i), .prompt = TokenIds(size_t(3 + i * 7), 20 + i)};
    row.sampling = {.temperature = i % 2 * 0.8, .top_p = i % 3 == 0 ? 0.9 : 1};
    row.stop.max_tokens = 300;
    row.stop.ignore_eos = true;
    engine.add(std::move(row));
  }
  const auto step = [&](int n) {
    for (int i = 0; i < n; ++i) engine.step([](const Event&) {});
  };
  step(30);
  Backend& backend = *model.state().backend;
  const size_t before = backend.used_bytes();
  step(200);
  EXPECT_LE(backend.used_bytes(), before + (size_t(8) << 20)) << "graphs of longer contexts, at most";
}

}  // namespace
}  // namespace chorus::test
