#include "chorus/replicas.h"

#include <gtest/gtest.h>

#include <set>

#include "chorus/error.h"
#include "engine/row_rule.h"
#include "golden/golden_model.h"

namespace chorus::test {
namespace {

class ReplicasTest : public testing::Test {
 protected:
  ReplicasTest() : golden_("tiny-gpt-oss-mxfp4-q8") {}
  Model load() { return load_model(golden_.folder(), {.device = "cpu", .threads = 1}); }

  golden::GoldenModel golden_;
};

TEST_F(ReplicasTest, RowsOfOneQueueAreAnsweredOnceAsOneEngineAnswersThem) {
  const std::vector<Model> models = {load(), load()};
  const std::vector<Request> rows = random_rows(4, models[0].vocabulary());
  const auto expected = run(models[0], rows, {.max_rows = 40, .context = 256});
  const EngineOptions options{.max_rows = 3, .context = 256};
  Replicas replicas(models, nullptr, options);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(replicas.add(rows[i]), int64_t(i));
  std::map<int64_t, Result> results;
  std::map<int64_t, TokenIds> tokens;
  int64_t rows_done = 0;
  const auto on_event = [&](const Event& event) {
    if (const auto* token = std::get_if<TokenEvent>(&event)) {
      EXPECT_EQ(results.count(token->row), 0u) << "a token after the end";
      tokens[token->row].push_back(token->token_id);
    } else if (const auto* end = std::get_if<FinishedEvent>(&event)) {
      EXPECT_TRUE(results.emplace(end->row, end->result).second) << "row " << end->row << " ended twice";
    } else {
      rows_done = std::get<ProgressEvent>(event).rows_done;
    }
  };
  while (replicas.step(on_event)) {
  }
  ASSERT_EQ(results.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(results[int64_t(i)].id, rows[i].id);
    EXPECT_EQ(results[int64_t(i)].token_ids, expected.at(rows[i].id).token_ids);
    EXPECT_EQ(results[int64_t(i)].logprobs, expected.at(rows[i].id).logprobs);
  }
  EXPECT_LE(rows_done, int64_t(rows.size()));
  EXPECT_EQ(replicas.stats().rows, int64_t(rows.size()));
  // Later rows find both engines waiting.
  EXPECT_EQ(replicas.add(rows[0]), int64_t(rows.size()));
  while (replicas.step(on_event)) {
  }
  EXPECT_EQ(results[int64_t(rows.size())].token_ids, results[0].token_ids);
  EXPECT_FALSE(replicas.step(on_event));
}

TEST_F(ReplicasTest, BadRowsAreRefusedAtOnce) {
  const std::vector<Model> models = {load(), load()};
  Replicas replicas(models, nullptr, {.context = 16});
  EXPECT_THROW(replicas.add({.prompt = {}}), Error);
  EXPECT_THROW(replicas.add({.prompt = TokenIds(17, 9)}), Error);
  EXPECT_THROW(replicas.add({.prompt = {9, 1 << 30}}), Error);
  EXPECT_THROW(replicas.add({.prompt = {9}, .sampling = {.top_p = 0}}), Error);
  EXPECT_FALSE(replicas.step([](const Event&) {}));
}

TEST_F(ReplicasTest, EndlessRowsAreGivenUpAtTheEnd) {
  const std::vector<Model> models = {load(), load()};
  Replicas replicas(models, nullptr, {.max_rows = 2, .context = 4096});
  for (int i = 0; i < 9; ++i) replicas.add({.prompt = {9, 10}, .stop = {.ignore_eos = true}});
  EXPECT_TRUE(replicas.step([](const Event&) {}));
}

TEST_F(ReplicasTest, AModelPerDevice) {
  EXPECT_EQ(load_replicas(golden_.folder(), {.device = "cpu"}).size(), 1u);
  EXPECT_EQ(load_replicas(golden_.folder(), {.device = "cpu,cpu"}).size(), 2u);
  EXPECT_THROW(load_replicas(golden_.folder(), {.device = "cpu,"}), Error);
  EXPECT_THROW(load_model(golden_.folder(), {.device = "cpu,cpu"}), Error);
}

}  // namespace
}  // namespace chorus::test
