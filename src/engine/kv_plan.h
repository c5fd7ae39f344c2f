#pragma once

#include "chorus/engine.h"
#include "model/kv_cache.h"

namespace chorus::engine {

constexpr int64_t kv_block_tokens = 16;

/// How a budget of bytes is divided among the block pools.
struct KvPlan {
  std::vector<int64_t> blocks;  ///< per pool
  uint64_t bytes = 0;
};

/// Windowed pools get what all rows can use, at most a third of the budget; the others share what is left, at most
/// what all rows can use. Throws Fault::memory if a pool cannot hold the chunk of one row.
KvPlan plan_kv(const KvShape& shape, size_t element_bytes, uint64_t budget, int64_t max_rows, int64_t max_step_tokens,
               int64_t context);

}  // namespace chorus::engine
