#pragma once

#include <map>
#include <set>
#include <string>

#include "scheduler/scheduler.h"

namespace chorus::scheduler {

/// What is wrong with the scheduler's blocks, or nothing: every block is free or owned, by as many rows as it
/// says, and what a row has to write is its own.
inline std::string broken_blocks(const Scheduler& scheduler) {
  const BlockCache& cache = scheduler.cache();
  std::set<int32_t> nodes;
  for (size_t p = 0; p < cache.pools(); ++p) {
    std::map<int32_t, int32_t> owners;
    for (const Seat* row : scheduler.running())
      for (const int32_t block : row->blocks[p].ids) ++owners[block];
    int64_t free = 0;
    for (int32_t block = 0; block < cache.pool(p).size(); ++block) {
      const auto found = owners.find(block);
      if (cache.pool(p).owners(block) != (found == owners.end() ? 0 : found->second))
        return "the owners of block " + std::to_string(block) + " are miscounted";
      free += found == owners.end();
      if (const int32_t node = cache.content(p, block); node != PrefixIndex::none) {
        if (cache.prefixes().block(node, p) != block) return "a block's content does not know the block";
        nodes.insert(node);
      }
    }
    if (free != cache.pool(p).free()) return "the free blocks are miscounted";
  }
  if (int64_t(nodes.size()) != cache.prefixes().size()) return "a prefix without blocks is kept";
  return "";
}

/// What is wrong with a plan, or nothing.
inline std::string broken_plan(const Scheduler& scheduler, const Plan& plan) {
  const Limits& limits = scheduler.limits();
  const size_t tokens = plan.token_ids.size(), rows = plan.rows.size();
  if (int64_t(tokens) > limits.max_step_tokens || int64_t(rows) > limits.max_rows) return "the step is too large";
  if (plan.positions.size() != tokens || plan.row_of_token.size() != tokens ||
      plan.query_begin.size() != rows + 1 || plan.context_lengths.size() != rows ||
      plan.logit_rows.size() != plan.logit_tokens.size())
    return "the plan's arrays do not fit together";
  for (size_t r = 0; r < rows; ++r) {
    const int32_t begin = plan.query_begin[r], end = plan.query_begin[r + 1];
    if (end <= begin) return "a row without tokens";
    if (int64_t(r) < plan.decode_rows && end - begin != 1) return "a decode row with several tokens";
    for (int32_t t = begin; t < end; ++t)
      if (plan.row_of_token[size_t(t)] != int32_t(r) ||
          plan.positions[size_t(t)] != plan.rows[r].computed + t - begin)
        return "the tokens of a row are not in order";
    if (plan.context_lengths[r] != plan.positions[size_t(end) - 1] + 1) return "wrong context length";
  }
  for (size_t p = 0; p < plan.pools.size(); ++p) {
    const PoolPlan& pool = plan.pools[p];
    const std::set<int32_t> slots(pool.slots.begin(), pool.slots.end());
    if (pool.slots.size() != tokens || slots.size() != tokens) return "two tokens go to one slot";
    for (const int32_t slot : slots)
      if (scheduler.cache().pool(p).owners(slot / limits.block_tokens) != 1) return "a shared block is written";
  }
  if (!scheduler.running().empty() && scheduler.running().front()->scheduled == 0) return "the first row rests";
  return "";
}

}  // namespace chorus::scheduler
