#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <numeric>

#include "chorus/error.h"

namespace chorus::scheduler {
namespace {

std::vector<int32_t> tokens(int64_t n, int32_t first = 100) {
  std::vector<int32_t> list(static_cast<size_t>(n));
  std::iota(list.begin(), list.end(), first);
  return list;
}

Limits limits(int64_t rows, int64_t step_tokens, std::vector<PoolSpec> pools) {
  return {.block_tokens = 16,
          .max_rows = rows,
          .max_step_tokens = step_tokens,
          .context = 4096,
          .pools = std::move(pools)};
}

// gpt-oss: one half of the layers sees everything, the other 128 tokens.
Limits gpt_oss_limits(int64_t rows, int64_t full, int64_t window) {
  return limits(rows, 512, {{.window = 0, .blocks = full}, {.window = 128, .blocks = window}});
}

// Commits the step with token 7 for every sample.
void commit(Scheduler& scheduler, const Plan& plan) {
  scheduler.commit(std::vector<Outcome>(plan.samples.size(), {.token_id = 7, .finished = false}));
}

int64_t run_to_the_end(Scheduler& scheduler) {
  int64_t computed = 0;
  for (;;) {
    const Plan& plan = scheduler.next();
    if (plan.empty()) return computed;
    computed += int64_t(plan.token_ids.size());
    commit(scheduler, plan);
  }
}

TEST(Scheduler, LimitsThatAllowNoStepAreRefused) {
  struct Case {
    const char* why;
    Limits limits;
  };
  const Case cases[] = {
      {"no rows", limits(0, 8, {{0, 4}})},
      {"a decode step may not fit", limits(9, 8, {{0, 4}})},
      {"no pools", limits(1, 8, {})},
      {"no blocks", limits(1, 8, {{0, 0}})},
      {"negative window", limits(1, 8, {{-1, 4}})},
      {"slots beyond 32 bits", limits(1, 8, {{0, int64_t(1) << 28}})},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    try {
      const Scheduler scheduler(c.limits);
      ADD_FAILURE() << "taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::usage);
    }
  }
}

TEST(Scheduler, RowsThatCannotRunAreRefused) {
  struct Case {
    const char* why;
    int64_t prompt, max_new;
    std::vector<PoolSpec> pools;
    std::optional<Fault> fault;
  };
  const Case cases[] = {
      {"empty prompt", 0, 1, {{0, 1000}}, Fault::input},
      {"as long as the context", 4096, 1, {{0, 1000}}, std::nullopt},
      {"longer than the context", 4097, 1, {{0, 1000}}, Fault::input},
      {"fills the pool", 160, 1, {{0, 10}}, std::nullopt},
      {"does not fit the pool", 161, 1, {{0, 10}}, Fault::memory},
      {"a window needs no more than its blocks", 4096, 1, {{128, 9}}, std::nullopt},
      {"a pool too small for the window is a context", 128, 1, {{128, 8}}, std::nullopt},
      {"and its end", 129, 1, {{128, 8}}, Fault::memory},
      {"negative max_new_tokens", 1, -1, {{0, 10}}, Fault::usage},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    Scheduler scheduler(limits(4, 64, c.pools));
    std::optional<Fault> fault;
    try {
      scheduler.add({.prompt = tokens(c.prompt), .max_new_tokens = c.max_new});
    } catch (const Error& e) {
      fault = e.fault();
    }
    EXPECT_EQ(fault, c.fault);
    run_to_the_end(scheduler);
  }
}

TEST(Scheduler, ARowEndsAtMaxNewTokensTheContextOrThePool) {
  struct Case {
    const char* why;
    int64_t prompt, max_new, blocks, expected;
  };
  const Case cases[] = {
      {"max_new_tokens", 10, 5, 1000, 5},
      {"nothing is to be generated, one sample is dropped", 10, 0, 1000, 1},
      {"context: the last token needs no position", 4090, 131072, 1000, 7},
      {"pool: 32 positions", 10, 131072, 2, 23},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    Scheduler scheduler(limits(4, 5000, {{0, c.blocks}}));
    scheduler.add({.prompt = tokens(c.prompt), .max_new_tokens = c.max_new});
    int64_t samples = 0;
    for (;;) {
      const Plan& plan = scheduler.next();
      if (plan.empty()) break;
      ASSERT_EQ(plan.samples.size(), 1u);
      EXPECT_EQ(plan.samples[0].last, ++samples == c.expected);
      commit(scheduler, plan);
    }
    EXPECT_EQ(samples, c.expected);
  }
}

TEST(Scheduler, AStepIsDecodeRowsThenPrefillChunksInOrderOfPriorityAndArrival) {
  Scheduler scheduler(limits(8, 40, {{0, 1000}}));
  const RowId first = scheduler.add({.prompt = tokens(30, 0), .max_new_tokens = 9});
  const RowId second = scheduler.add({.prompt = tokens(50, 1000), .max_new_tokens = 9});
  const RowId urgent = scheduler.add({.prompt = tokens(20, 2000), .max_new_tokens = 9, .priority = 1});
  struct Row {
    RowId id;
    int64_t from, to;
  };
  const std::vector<Row> steps[] = {{{urgent, 0, 20}, {first, 0, 20}},
                                    {{urgent, 20, 21}, {first, 20, 30}, {second, 0, 29}},
                                    {{urgent, 21, 22}, {first, 30, 31}, {second, 29, 50}},
                                    {{urgent, 22, 23}, {first, 31, 32}, {second, 50, 51}}};
  const std::vector<RowId> sampled[] = {
      {urgent}, {urgent, first}, {urgent, first, second}, {urgent, first, second}};
  for (size_t step = 0; step < 4; ++step) {
    SCOPED_TRACE(step);
    const Plan& plan = scheduler.next();
    ASSERT_EQ(plan.rows.size(), steps[step].size());
    for (size_t r = 0; r < plan.rows.size(); ++r) {
      EXPECT_EQ(plan.rows[r].id, steps[step][r].id);
      EXPECT_EQ(plan.positions[size_t(plan.query_begin[r])], steps[step][r].from);
      EXPECT_EQ(plan.context_lengths[r], steps[step][r].to);
    }
    std::vector<RowId> ids;
    for (const Sample& sample : plan.samples) {
      ids.push_back(sample.id);
      EXPECT_EQ(plan.logit_tokens[size_t(sample.logit)], plan.query_begin[size_t(sample.row) + 1] - 1);
    }
    EXPECT_EQ(ids, sampled[step]);
    EXPECT_EQ(plan.logit_tokens.size(), ids.size());
    commit(scheduler, plan);
  }
}

TEST(Scheduler, ASharedPrefixIsComputedOnce) {
  Scheduler scheduler(gpt_oss_limits(101, 4000, 1500));
  for (int32_t i = 0; i < 101; ++i) {
    std::vector<int32_t> prompt = tokens(52);  // 3 blocks and 4 tokens
    prompt.push_back(i);
    scheduler.add({.prompt = std::move(prompt), .max_new_tokens = 1});
  }
  const Plan& first = scheduler.next();
  EXPECT_EQ(first.rows.size(), 1u) << "the others wait";
  commit(scheduler, first);
  const Plan& second = scheduler.next();
  EXPECT_EQ(second.rows.size(), 100u);
  for (const PlanRow& row : second.rows) EXPECT_EQ(row.cached_tokens, 48);
  EXPECT_EQ(second.token_ids.size(), 100u * 5);
  EXPECT_EQ(scheduler.cache().pool(0).size() - scheduler.cache().pool(0).free(), 3 + 100);
  commit(scheduler, second);
  EXPECT_TRUE(scheduler.next().empty());
}

TEST(Scheduler, NSamplesOfAPromptShareAllButItsLastBlock) {
  Scheduler scheduler(gpt_oss_limits(8, 100, 100));
  for (int i = 0; i < 8; ++i) scheduler.add({.prompt = tokens(64), .max_new_tokens = 1});
  EXPECT_EQ(run_to_the_end(scheduler), 64 + 7 * 16) << "the last token is computed, so its block cannot be shared";
}

TEST(Scheduler, LongSharedPromptsAreComputedOnceWhileOthersPass) {
  Scheduler scheduler(limits(8, 64, {{0, 1000}}));
  for (int i = 0; i < 3; ++i) scheduler.add({.prompt = tokens(1000), .max_new_tokens = 1});
  EXPECT_EQ(run_to_the_end(scheduler), 1000 + 2 * (1000 - 992));
}

// Whoever waits for a prefix goes on when the row that computes it is gone.
TEST(Scheduler, TheRowThatComputesASharedPrefixMayBeCancelled) {
  for (const bool in_flight : {false, true}) {
    SCOPED_TRACE(in_flight);
    Scheduler scheduler(limits(8, 64, {{0, 1000}}));
    const RowId first = scheduler.add({.prompt = tokens(200), .max_new_tokens = 3});
    scheduler.add({.prompt = tokens(200), .max_new_tokens = 3});
    const Plan& plan = scheduler.next();
    ASSERT_EQ(plan.rows.size(), 1u);
    if (in_flight) scheduler.cancel(first);
    commit(scheduler, plan);
    if (!in_flight) scheduler.cancel(first);
    EXPECT_EQ(scheduler.counts().running, 0);
    EXPECT_EQ(run_to_the_end(scheduler), 200 - 64 + 2) << "what was computed stays of use";
  }
}

TEST(Scheduler, WindowPoolsHoldTheWindowOnly) {
  Scheduler scheduler(gpt_oss_limits(1, 256, 9 + 512 / 16));
  scheduler.add({.prompt = tokens(1000), .max_new_tokens = 2000});
  for (;;) {
    const Plan& plan = scheduler.next();
    if (plan.empty()) break;
    const auto chunk = int64_t(plan.token_ids.size());
    EXPECT_LE(plan.pools[1].stride, 9 + (chunk - 1 + 15) / 16);
    EXPECT_GE((plan.pools[1].first_block[0] + 1) * 16, plan.positions[0] - 127);
    commit(scheduler, plan);
  }
  EXPECT_EQ(scheduler.counts().preemptions, 0);
}

TEST(Scheduler, WindowPoolsOfExactlyAllWindowsPreemptNobody) {
  constexpr int64_t rows = 6;
  Scheduler scheduler(gpt_oss_limits(rows, 4000, rows * 9));
  for (int32_t i = 0; i < 20; ++i)
    scheduler.add({.prompt = tokens(100 + 37 * i, 10000 * i), .max_new_tokens = 400});
  int64_t most = 0;
  for (;;) {
    const Plan& plan = scheduler.next();
    if (plan.empty()) break;
    most = std::max(most, scheduler.counts().running);
    commit(scheduler, plan);
  }
  EXPECT_EQ(most, rows);
  EXPECT_EQ(scheduler.counts().preemptions, 0);
}

// The memory rule: blocks for three rows, forty rows without a bound of their own.
TEST(Scheduler, RowsRunTogetherInAPoolThatHoldsAllOfThemToTheirEnds) {
  struct Case {
    const char* why;
    int64_t prompt, max_new;
  };
  const Case cases[] = {
      {"a prompt's last block holds the answer, too", 70, 8},
      {"an answer has a block of its own", 70, 16},
      {"the last token needs no position", 70, 11},
      {"one token", 80, 1},
  };
  constexpr int64_t rows = 3;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    Scheduler scheduler(limits(rows, 512, {{0, rows * ((c.prompt + c.max_new - 1 + 15) / 16)}}));
    for (int32_t row = 0; row < rows; ++row)
      scheduler.add({.prompt = tokens(c.prompt, 1000 * row), .max_new_tokens = c.max_new});
    EXPECT_EQ(scheduler.next().rows.size(), size_t(rows));
    scheduler.commit(std::vector<Outcome>(size_t(rows), {.token_id = 7, .finished = false}));
    run_to_the_end(scheduler);
    EXPECT_EQ(scheduler.counts().preemptions, 0);
  }
}

TEST(Scheduler, ManyRowsWithoutBoundsEndInAPoolForThree) {
  Limits small = gpt_oss_limits(16, 3 * 32, 16 * 10);
  small.context = 512;
  Scheduler scheduler(small);
  for (int32_t i = 0; i < 40; ++i) scheduler.add({.prompt = tokens(20 + i, 1000 * i), .max_new_tokens = 131072});
  std::vector<int64_t> generated(40);
  int64_t computed = 0;
  for (;;) {
    const Plan& plan = scheduler.next();
    if (plan.empty()) break;
    computed += int64_t(plan.token_ids.size());
    for (const Sample& sample : plan.samples) ++generated[size_t(sample.id)];
    commit(scheduler, plan);
  }
  for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(generated[size_t(i)], 512 + 1 - (20 + i));
  EXPECT_GT(scheduler.counts().preemptions, 0);
  EXPECT_LT(computed, 2 * 40 * 512) << "work done twice stays below the work itself";
}

TEST(Scheduler, AllLogitsOfAPrompt) {
  Scheduler scheduler(limits(4, 64, {{0, 1000}}));
  scheduler.add({.prompt = tokens(100), .max_new_tokens = 1});
  run_to_the_end(scheduler);
  scheduler.add({.prompt = tokens(100), .max_new_tokens = 0, .all_logits = true});  // not from the cache
  int64_t logits = 0;
  for (int64_t from : {0, 64}) {
    const Plan& plan = scheduler.next();
    EXPECT_EQ(plan.positions[0], from);
    logits += int64_t(plan.logit_tokens.size());
    commit(scheduler, plan);
  }
  EXPECT_EQ(logits, 100);
  EXPECT_TRUE(scheduler.next().empty());
}

TEST(Scheduler, MisuseIsAnErrorOfOurs) {
  Scheduler scheduler(limits(4, 64, {{0, 1000}}));
  EXPECT_THROW(scheduler.commit({}), Error);
  scheduler.add({.prompt = tokens(10), .max_new_tokens = 1});
  scheduler.next();
  EXPECT_THROW(scheduler.next(), Error);
  EXPECT_THROW(scheduler.commit({}), Error);
  scheduler.commit(std::vector<Outcome>(1, {.token_id = 7, .finished = false}));
  EXPECT_TRUE(scheduler.next().empty());
  scheduler.cancel(0);
  scheduler.cancel(99);
}

}  // namespace
}  // namespace chorus::scheduler
