#include "chorus/engine.h"

#include <gtest/gtest.h>

#include <map>

#include "chorus/error.h"
#include "golden/golden_model.h"

namespace chorus {
namespace {

class TinyEngine : public testing::Test {
 protected:
  TinyEngine() : golden_("tiny-gpt-oss-mxfp4-q8") {}
  void SetUp() override { ASSERT_TRUE(golden_.exists()) << "ships with the tests"; }
  Model load() { return load_model(golden_.folder(), {.device = "cpu", .precision = "exact"}); }
  static std::map<int64_t, Result> finish(Engine& engine) {
    std::map<int64_t, Result> results;
    while (engine.step([&](const Event& event) {
      if (const auto* end = std::get_if<FinishedEvent>(&event)) results[end->row] = end->result;
    })) {
    }
    return results;
  }

  golden::GoldenModel golden_;
};

TEST_F(TinyEngine, RaggedBatchEqualsMlxLm) {
  const Json batch = golden_.json(".batch.json");
  const Model model = load();
  Engine engine(model, {.context = 1024});
  for (size_t i = 0; i < batch["prompts"].size(); ++i) {
    Request row{.id = std::to_string(i), .prompt = batch["prompts"][i].get<TokenIds>()};
    row.stop.max_tokens = batch["max_tokens"][i].get<int64_t>();
    row.stop.stop_token_ids = batch["eos_token_ids"].get<TokenIds>();
    row.stop.ignore_eos = true;  // the goldens stop at ids of their own
    engine.add(std::move(row));
  }
  const std::map<int64_t, Result> results = finish(engine);
  const Json& expected = batch["f32"]["batch_generate_default"];
  for (const auto& [i, result] : results)
    EXPECT_EQ(result.token_ids, expected["token_ids"][size_t(i)].get<TokenIds>()) << "row " << i;
  EXPECT_EQ(engine.stats().prompt_tokens, expected["stats"]["prompt_tokens"].get<int64_t>());
  EXPECT_EQ(engine.stats().generation_tokens, expected["stats"]["generation_tokens"].get<int64_t>());
}

TEST_F(TinyEngine, ABudgetForThreeRowsRunsFortyUnboundedRowsToTheEnd) {
  const Model model = load();
  const int64_t context = 128;
  // A position costs 2 full and 2 sliding layers x 2 kv heads x 64 x (key + value) x 4 bytes.
  const uint64_t three_rows = 3 * uint64_t(context) * 4 * 2 * 64 * 2 * 4;
  Engine engine(model, {.max_rows = 40, .max_step_tokens = 64, .context = context, .kv_bytes = three_rows});
  EXPECT_LE(engine.kv_bytes(), three_rows);
  for (int i = 0; i < 40; ++i) {
    Request row{.id = std::to_string(i), .prompt = TokenIds(size_t(1 + i % 9), 20 + i)};
    row.stop.ignore_eos = true;  // max_tokens stays at its 131072
    engine.add(std::move(row));
  }
  const std::map<int64_t, Result> results = finish(engine);
  ASSERT_EQ(results.size(), 40u);
  for (const auto& [i, result] : results) {
    EXPECT_EQ(result.finish_reason, FinishReason::length);
    EXPECT_GE(result.prompt_tokens + int64_t(result.token_ids.size()), engine.context()) << "row " << i;
  }
  EXPECT_GT(engine.stats().preemptions, 0);
}

TEST_F(TinyEngine, BadRowsAreRefusedAndTheOthersGoOn) {
  const Model model = load();
  Engine engine(model, {.context = 64});
  const auto fault_of = [&](Request row) {
    try {
      engine.add(std::move(row));
    } catch (const Error& e) {
      return e.fault();
    }
    return Fault::internal;
  };
  EXPECT_EQ(fault_of({.id = "empty"}), Fault::input);
  EXPECT_EQ(fault_of({.id = "too long", .prompt = TokenIds(65, 9)}), Fault::input);
  EXPECT_EQ(fault_of({.id = "no such token", .prompt = {9, 512}}), Fault::input);
  EXPECT_EQ(fault_of({.id = "bad top_p", .prompt = {9}, .sampling = {.top_p = 0}}), Fault::usage);
  engine.add({.id = "good", .prompt = {9, 10}, .stop = {.max_tokens = 3, .ignore_eos = true}});
  const std::map<int64_t, Result> results = finish(engine);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results.begin()->second.token_ids.size(), 3u);
}

TEST_F(TinyEngine, CancelEndsARowAndMaxTokensZeroGeneratesNothing) {
  const Model model = load();
  Engine engine(model, {.context = 512});
  const int64_t endless = engine.add({.id = "endless", .prompt = {9, 10}, .stop = {.ignore_eos = true}});
  const int64_t nothing = engine.add({.id = "nothing", .prompt = {11, 12}, .stop = {.max_tokens = 0}});
  std::map<int64_t, Result> results;
  int64_t tokens = 0;
  while (engine.step([&](const Event& event) {
    if (std::get_if<TokenEvent>(&event) != nullptr && ++tokens == 5) engine.cancel(endless);
    if (const auto* end = std::get_if<FinishedEvent>(&event)) results[end->row] = end->result;
  })) {
  }
  EXPECT_EQ(results[endless].finish_reason, FinishReason::cancelled);
  EXPECT_EQ(results[endless].token_ids.size(), 5u);
  EXPECT_EQ(results[nothing].finish_reason, FinishReason::length);
  EXPECT_TRUE(results[nothing].token_ids.empty());
}

}  // namespace
}  // namespace chorus
