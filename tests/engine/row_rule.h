#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>

#include "chorus/engine.h"

namespace chorus::test {

/// 40 rows: lengths from 1 to 90, some with a common beginning, greedy and drawn, all kinds of penalties.
inline std::vector<Request> random_rows(uint32_t seed, int64_t vocabulary) {
  std::mt19937 random(seed);
  const auto below = [&](int64_t n) { return int64_t(random() % uint64_t(n)); };
  std::vector<TokenIds> beginnings(3);
  for (TokenIds& ids : beginnings)
    for (int i = 0; i < 48; ++i) ids.push_back(int32_t(8 + below(vocabulary - 8)));
  std::vector<Request> rows;
  for (int r = 0; r < 40; ++r) {
    Request row{.id = std::to_string(r), .row_key = uint64_t(r)};
    if (below(2) == 0) row.prompt = beginnings[size_t(below(3))];
    for (int64_t n = 1 + below(42); n > 0; --n) row.prompt.push_back(int32_t(8 + below(vocabulary - 8)));
    row.sampling.seed = seed;
    row.sampling.logprobs = true;  // equal logprobs say that the logits were equal, not just the tokens
    if (below(2) == 0) row.sampling.temperature = 0.9;
    if (below(3) == 0) row.sampling.top_p = 0.8;
    if (below(3) == 0) row.sampling.top_k = 20;
    if (below(4) == 0) row.sampling.repetition_penalty = 1.2;
    row.stop.max_tokens = 1 + below(30);
    rows.push_back(std::move(row));
  }
  return rows;
}

inline std::map<std::string, Result> run(const Model& model, const std::vector<Request>& rows, const EngineOptions& options,
                                  BatchStats* stats = nullptr) {
  Engine engine(model, options);
  for (const Request& row : rows) engine.add(row);
  std::map<std::string, Result> results;
  while (engine.step([&](const Event& event) {
    if (const auto* end = std::get_if<FinishedEvent>(&event)) results[end->result.id] = end->result;
  })) {
  }
  if (stats != nullptr) *stats = engine.stats();
  return results;
}

/// On tiny-gpt-oss-mxfp4-q8: six schedules of 40 rows, each row as it is alone.
inline void expect_rows_of_their_own(const Model& model, size_t kv_element_bytes) {
  const std::vector<Request> rows = random_rows(7, model.vocabulary());
  std::map<std::string, Result> alone;
  for (const Request& row : rows) alone.merge(run(model, {row}, {.max_rows = 1, .context = 256, .share_prefixes = false}));
  ASSERT_EQ(alone.size(), 40u);

  int64_t preemptions = 0, cached = 0;
  std::mt19937 random(3);
  for (int schedule = 0; schedule < 6; ++schedule) {
    std::vector<Request> shuffled = rows;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    EngineOptions options{.max_rows = std::array{40, 7, 3, 16, 40, 1}[size_t(schedule)],
                          .max_step_tokens = std::array{512, 13, 5, 33, 64, 9}[size_t(schedule)],
                          .context = 256,
                          .share_prefixes = schedule % 2 == 0};
    // Two of the schedules have room for a few rows only, and must preempt.
    const uint64_t row_bytes = 256 * 2 * 2 * 2 * 64 * kv_element_bytes * 2;
    if (schedule == 1 || schedule == 4) options.kv_bytes = row_bytes * 2;
    BatchStats stats;
    const std::map<std::string, Result> together = run(model, shuffled, options, &stats);
    preemptions += stats.preemptions;
    cached += stats.cached_prompt_tokens;
    ASSERT_EQ(together.size(), 40u);
    for (const auto& [id, result] : together) {
      EXPECT_EQ(result.token_ids, alone[id].token_ids) << "row " << id << " in schedule " << schedule;
      EXPECT_EQ(result.logprobs, alone[id].logprobs) << "row " << id << " in schedule " << schedule;
      EXPECT_EQ(result.finish_reason, alone[id].finish_reason);
    }
  }
  EXPECT_GT(preemptions, 0) << "no schedule preempted: the test shows less than it says";
  EXPECT_GT(cached, 0) << "no prefix was shared: the test shows less than it says";
}

}  // namespace chorus::test
