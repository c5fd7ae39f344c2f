#include "engine/kv_plan.h"

#include <algorithm>

#include "chorus/error.h"

namespace chorus::engine {
namespace {

int64_t blocks_for(int64_t tokens) { return (tokens + kv_block_tokens - 1) / kv_block_tokens; }

}  // namespace

KvPlan plan_kv(const KvShape& shape, size_t element_bytes, uint64_t budget, int64_t max_rows, int64_t max_step_tokens,
               int64_t context) {
  const size_t pools = shape.pools.size();
  KvPlan plan{.blocks = std::vector<int64_t>(pools), .bytes = 0};
  std::vector<uint64_t> bytes(pools);
  uint64_t full_bytes = 0;  // per token position of the pools without a window
  for (size_t p = 0; p < pools; ++p) {
    bytes[p] = shape.block_bytes(p, kv_block_tokens, element_bytes);
    if (shape.pools[p].window == 0) full_bytes += bytes[p];
  }
  for (size_t p = 0; p < pools; ++p) {
    const int64_t window = shape.pools[p].window;
    if (window == 0) continue;
    // A row holds the window of its next token, which may begin and end inside a block; a chunk adds its own tokens.
    const int64_t per_row = std::min(blocks_for(window - 1) + 1, blocks_for(context)) + 1;
    const int64_t wanted = max_rows * per_row + blocks_for(max_step_tokens);
    const auto affordable = full_bytes == 0 ? int64_t(budget / bytes[p]) : int64_t(budget / 3 / bytes[p]);
    plan.blocks[p] = std::min(wanted, affordable);
    plan.bytes += uint64_t(plan.blocks[p]) * bytes[p];
  }
  if (full_bytes > 0) {
    const int64_t affordable = plan.bytes < budget ? int64_t((budget - plan.bytes) / full_bytes) : 0;
    const int64_t blocks = std::min(max_rows * blocks_for(context), affordable);
    for (size_t p = 0; p < pools; ++p)
      if (shape.pools[p].window == 0) plan.blocks[p] = blocks;
    plan.bytes += uint64_t(blocks) * full_bytes;
  }
  for (size_t p = 0; p < pools; ++p) {
    const int64_t window = shape.pools[p].window;
    const int64_t least = (window == 0 ? 0 : blocks_for(std::min(window, context)) + 1) + 1;
    if (plan.blocks[p] < least)
      throw Error(Fault::memory, "the memory budget leaves no room for the kv cache of one row")
          .with("bytes left for the cache", budget)
          .with("bytes of a block of 16 tokens", bytes[p])
          .with("blocks needed at least", least);
  }
  return plan;
}

}  // namespace chorus::engine
