#include "scheduler/block_cache.h"

#include <algorithm>

namespace chorus::scheduler {
namespace {

int64_t all_blocks(const std::vector<PoolSpec>& pools) {
  int64_t blocks = 0;
  for (const PoolSpec& pool : pools) blocks += pool.blocks;
  return blocks;
}

}  // namespace

int64_t first_visible_block(int64_t window, int64_t position, int64_t block_tokens) {
  return window == 0 ? 0 : std::max<int64_t>(0, position - window + 1) / block_tokens;
}

BlockCache::BlockCache(const std::vector<PoolSpec>& pools, int block_tokens)
    : specs_(pools),
      block_tokens_(size_t(block_tokens)),
      prefixes_(all_blocks(pools), pools.size(), block_tokens),
      run_(pools.size()) {
  for (const PoolSpec& pool : pools) {
    pools_.emplace_back(pool.blocks);
    content_.emplace_back(size_t(pool.blocks), PrefixIndex::none);
  }
  pending_.reserve(size_t(all_blocks(pools)));
}

int32_t BlockCache::take(size_t p) {
  const int32_t block = pools_[p].take();
  int32_t& content = content_[p][size_t(block)];
  if (content != PrefixIndex::none) prefixes_.detach(content, p);
  content = PrefixIndex::none;
  return block;
}

void BlockCache::release(size_t p, int32_t block, bool keep) {
  if (!pools_[p].release(block)) return;
  int32_t& content = content_[p][size_t(block)];
  if (!keep && content != PrefixIndex::none) {
    prefixes_.detach(content, p);
    content = PrefixIndex::none;
  }
  if (content == PrefixIndex::none)
    pools_[p].free_first(block);
  else
    pools_[p].free_last(block);
}

uint64_t BlockCache::publish(uint64_t parent, std::span<const int32_t> tokens, std::span<const int32_t> block) {
  int32_t node = prefixes_.find(parent, tokens);
  if (node == PrefixIndex::none) node = prefixes_.add(parent, tokens);
  bool attached = false;
  for (size_t p = 0; p < pools_.size(); ++p) {
    if (block[p] == PrefixIndex::none || prefixes_.block(node, p) != PrefixIndex::none) continue;
    prefixes_.attach(node, p, block[p]);
    content_[p][size_t(block[p])] = node;
    attached = true;
  }
  if (attached && !prefixes_.pending(node)) {
    prefixes_.set_pending(node, true);
    pending_.push_back(node);
  }
  return prefixes_.serial(node);
}

void BlockCache::settle() {
  for (const int32_t node : pending_) prefixes_.set_pending(node, false);
  pending_.clear();
}

BlockCache::Match BlockCache::match(std::span<const int32_t> tokens, std::vector<int32_t>& nodes) const {
  Match match;
  nodes.clear();
  std::ranges::fill(run_, 0);
  uint64_t parent = PrefixIndex::root;
  for (; tokens.size() >= block_tokens_; tokens = tokens.subspan(block_tokens_)) {
    const int32_t node = prefixes_.find(parent, tokens.first(block_tokens_));
    if (node == PrefixIndex::none) break;
    if (prefixes_.pending(node)) {
      match.pending = true;
      break;
    }
    nodes.push_back(node);
    for (size_t p = 0; p < pools_.size(); ++p)
      run_[p] = prefixes_.block(node, p) == PrefixIndex::none ? 0 : run_[p] + 1;
    if (window_is_there(int64_t(nodes.size()), run_)) match.blocks = int64_t(nodes.size());
    parent = prefixes_.serial(node);
  }
  nodes.resize(size_t(match.blocks));
  return match;
}

// Whether the query after `blocks` blocks finds all it sees, when the last run[p] blocks are there.
bool BlockCache::window_is_there(int64_t blocks, std::span<const int64_t> run) const {
  const auto bt = int64_t(block_tokens_);
  for (size_t p = 0; p < pools_.size(); ++p)
    if (run[p] < blocks - first_visible_block(specs_[p].window, blocks * bt, bt)) return false;
  return true;
}

}  // namespace chorus::scheduler
