#include "scheduler/prefix_index.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace chorus::scheduler {

PrefixIndex::PrefixIndex(int64_t blocks, size_t pools, int block_tokens)
    : pools_(pools),
      block_tokens_(size_t(block_tokens)),
      nodes_(size_t(blocks)),
      tokens_(size_t(blocks) * block_tokens_),
      blocks_(size_t(blocks) * pools, none),
      buckets_(std::bit_ceil(size_t(blocks) + 1), none) {
  for (int64_t node = blocks - 1; node >= 0; --node) {
    nodes_[size_t(node)].next = unused_;
    unused_ = int32_t(node);
  }
}

// Any mixing will do: keys are compared in full.
size_t PrefixIndex::bucket(uint64_t parent, std::span<const int32_t> tokens) const {
  uint64_t hash = parent * 0x9e3779b97f4a7c15u;
  for (const int32_t token : tokens) {
    hash = (hash ^ uint32_t(token)) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 32;
  }
  return hash & (buckets_.size() - 1);
}

std::span<const int32_t> PrefixIndex::tokens(int32_t node) const {
  return {tokens_.data() + size_t(node) * block_tokens_, block_tokens_};
}

int32_t PrefixIndex::find(uint64_t parent, std::span<const int32_t> tokens) const {
  for (int32_t node = buckets_[bucket(parent, tokens)]; node != none; node = nodes_[size_t(node)].next)
    if (nodes_[size_t(node)].parent == parent && std::ranges::equal(this->tokens(node), tokens)) return node;
  return none;
}

int32_t PrefixIndex::add(uint64_t parent, std::span<const int32_t> tokens) {
  assert(unused_ != none);  // every node has a block, and the block for this one is not attached yet
  const int32_t added = unused_;
  Node& node = nodes_[size_t(added)];
  unused_ = node.next;
  int32_t& first = buckets_[bucket(parent, tokens)];
  node = {.serial = ++last_serial_, .parent = parent, .next = first};
  first = added;
  std::ranges::copy(tokens, tokens_.begin() + int64_t(size_t(added) * block_tokens_));
  ++size_;
  return added;
}

void PrefixIndex::attach(int32_t node, size_t pool, int32_t block) {
  assert(this->block(node, pool) == none);
  blocks_[size_t(node) * pools_ + pool] = block;
  ++nodes_[size_t(node)].attached;
}

void PrefixIndex::detach(int32_t detached, size_t pool) {
  Node& node = nodes_[size_t(detached)];
  blocks_[size_t(detached) * pools_ + pool] = none;
  if (--node.attached > 0) return;
  int32_t* link = &buckets_[bucket(node.parent, tokens(detached))];
  while (*link != detached) link = &nodes_[size_t(*link)].next;
  *link = node.next;
  node.next = unused_;
  unused_ = detached;
  --size_;
}

}  // namespace chorus::scheduler
