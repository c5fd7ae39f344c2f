#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "scheduler/scheduler.h"

namespace chorus::scheduler {

/// A model of two layers per pool that only hashes: what a token's keys and values hold, and so every token after
/// it, depends on all that the token sees. A wrong, missing, stale or shared-by-mistake cell changes what comes
/// out.
class FakeModel {
 public:
  FakeModel(const Limits& limits, int32_t vocabulary) : limits_(limits), vocabulary_(vocabulary) {
    for (const PoolSpec& pool : limits.pools)
      for (auto& layer : cells_) layer.emplace_back(size_t(pool.blocks * limits.block_tokens), unwritten);
  }

  /// The next token after each sampled row.
  std::vector<int32_t> run(const Plan& plan) {
    std::vector<uint64_t> state(plan.token_ids.size());
    for (size_t t = 0; t < state.size(); ++t) state[t] = embed(plan.token_ids[t], plan.positions[t]);
    for (auto& layer : cells_) {
      for (size_t p = 0; p < layer.size(); ++p)
        for (size_t t = 0; t < state.size(); ++t) layer[p][size_t(plan.pools[p].slots[t])] = state[t];
      std::vector<uint64_t> next(state.size());
      for (size_t t = 0; t < state.size(); ++t)
        for (size_t p = 0; p < layer.size(); ++p) next[t] += attend(plan, t, p, layer[p]);
      state = std::move(next);
    }
    std::vector<int32_t> tokens;
    for (const Sample& sample : plan.samples)
      tokens.push_back(token_of(state[size_t(plan.logit_tokens[size_t(sample.logit)])]));
    return tokens;
  }

  /// The tokens that follow a prompt, computed without a cache: `count` of them.
  std::vector<int32_t> alone(std::vector<int32_t> tokens, int64_t count) const {
    const size_t prompt = tokens.size();
    std::vector<uint64_t> first, second;  // states of layer 1 and 2
    while (int64_t(tokens.size() - prompt) < count) {
      for (size_t t = first.size(); t < tokens.size(); ++t) {
        first.push_back(embed(tokens[t], int64_t(t)));
        second.push_back(attend_alone(first, t));
      }
      tokens.push_back(token_of(attend_alone(second, tokens.size() - 1)));
    }
    return {tokens.begin() + int64_t(prompt), tokens.end()};
  }

 private:
  static constexpr uint64_t unwritten = 0xdeadbeef;

  static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t h = (a ^ (b * 0x9e3779b97f4a7c15u)) + 0x632be59bd9b4e019u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
  }
  static uint64_t embed(int32_t token, int64_t position) { return mix(uint64_t(token) + 1, uint64_t(position)); }
  // 0, which ends a row, is rare: rows must grow until they are in each other's way.
  int32_t token_of(uint64_t state) const {
    return state % 64 == 0 ? 0 : 1 + int32_t(state / 64 % uint64_t(vocabulary_ - 1));
  }

  uint64_t attend(const Plan& plan, size_t t, size_t p, const std::vector<uint64_t>& cells) const {
    const PoolPlan& pool = plan.pools[p];
    const auto r = size_t(plan.row_of_token[t]);
    const int64_t window = limits_.pools[p].window, position = plan.positions[t], bt = limits_.block_tokens;
    uint64_t sum = 0;
    for (int64_t i = window == 0 ? 0 : std::max<int64_t>(0, position - window + 1); i <= position; ++i) {
      const int64_t entry = i / bt - pool.first_block[r];
      if (entry < 0 || entry >= pool.stride)
        throw std::logic_error("a visible position is not in the block table");
      const int32_t block = pool.block_tables[r * size_t(pool.stride) + size_t(entry)];
      sum += mix(cells.at(size_t(block * bt + i % bt)), uint64_t(i) * 2 + p);
    }
    return sum;
  }

  uint64_t attend_alone(const std::vector<uint64_t>& states, size_t t) const {
    uint64_t sum = 0;
    for (size_t p = 0; p < limits_.pools.size(); ++p) {
      const int64_t window = limits_.pools[p].window, position = int64_t(t);
      for (int64_t i = window == 0 ? 0 : std::max<int64_t>(0, position - window + 1); i <= position; ++i)
        sum += mix(states[size_t(i)], uint64_t(i) * 2 + p);
    }
    return sum;
  }

  Limits limits_;
  int32_t vocabulary_;
  std::vector<std::vector<uint64_t>> cells_[2];  // [layer][pool][slot]
};

}  // namespace chorus::scheduler
