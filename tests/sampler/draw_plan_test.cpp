// DrawPlan's structs mean what sampler::sample() does with the same parameters.
#include "sampler/draw_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/reference/draw.h"
#include "sampler/draw_cases.h"
#include "sampler/sampler.h"
#include "sampler/scan.h"

namespace chorus::test {
namespace {

void expect_plan_as_sampler(int64_t vocabulary) {
  SCOPED_TRACE(vocabulary);
  Memory memory;
  Random random(11);
  const DrawBatch batch(memory, random, vocabulary, 20, 2.f);
  sampler::DrawPlan plan(vocabulary, int64_t(batch.requests.size()));
  plan.make(batch.requests);
  const Draw op = host_draw(batch, plan);
  sampler::Scratch scratch(vocabulary);
  for (size_t r = 0; r < batch.requests.size(); ++r) {
    const sampler::DrawRequest& q = batch.requests[r];
    SCOPED_TRACE(batch.cases[r % batch.cases.size()].why);
    EXPECT_FALSE(plan.for_host(r));
    const reference::Shares shares = reference::draw(op, int64_t(r));
    const auto row = batch.logits.row<float>(q.logits);
    std::vector<float> logits(row.begin(), row.end());
    const sampler::Sampled sampled =
        sampler::sample(logits, *q.params, q.tokens, q.row_key, int64_t(q.tokens.size()), scratch);
    EXPECT_TRUE(shares.may_be(sampled.token_id, plan.rows()[r].uniform, 1e-5)) << "row " << r;
    if (!q.params->logprobs) continue;
    const auto at = std::find(shares.ids.begin(), shares.ids.end(), sampled.token_id) - shares.ids.begin();
    ASSERT_LT(at, int64_t(shares.ids.size()));
    EXPECT_NEAR(sampled.logprob, shares.logprobs[size_t(at)], 1e-4);
  }
}

TEST(DrawPlan, SaysWhatTheSamplerDoes) {
  for (const int64_t vocabulary : {1000, 2500}) expect_plan_as_sampler(vocabulary);
}

TEST(DrawPlan, AlsoWhereChunksOfTheVocabularyEnd) {
  constexpr int64_t chunk = sampler::chunk;
  for (const int64_t vocabulary : {2 * chunk - 1, 2 * chunk, 2 * chunk + 1, 3 * chunk}) expect_plan_as_sampler(vocabulary);
}

TEST(DrawPlan, WhatHasNoRoomIsLeftToTheHost) {
  constexpr int64_t vocabulary = 20000;
  std::vector<int32_t> many, few = {1, 2, 2};
  for (int32_t id = 0; id < 10000; ++id) many.push_back(id);
  const SamplingParams p{.repetition_penalty = 1.1, .penalty_window = 0};
  const std::vector<sampler::DrawRequest> requests = {
      {.params = &p, .tokens = few, .logits = 0}, {.params = &p, .tokens = many, .logits = 1},
      {.params = &p, .tokens = few, .logits = 2}};
  sampler::DrawPlan plan(vocabulary, 3);
  for (int round = 0; round < 2; ++round) {
    plan.make(requests);
    ASSERT_EQ(plan.rows().size(), 3u);
    EXPECT_FALSE(plan.for_host(0));
    EXPECT_TRUE(plan.for_host(1));
    EXPECT_FALSE(plan.for_host(2));
    ASSERT_EQ(plan.changes().size(), 4u);
    EXPECT_EQ(plan.changes()[3].token_id, 2);
    EXPECT_EQ(plan.changes()[3].count, 2);
    EXPECT_EQ(plan.rows()[2].changes_begin, 2);
    EXPECT_EQ(plan.rows()[1].changes_begin, plan.rows()[1].changes_end);
  }
}

}  // namespace
}  // namespace chorus::test
