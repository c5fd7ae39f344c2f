#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scheduler/block_pool.h"
#include "scheduler/prefix_index.h"

namespace chorus::scheduler {

/// The blocks of one layer kind.
struct PoolSpec {
  int64_t window;  ///< tokens a query sees, itself included; 0 = all
  int64_t blocks;  ///< a block id stands for that block in every layer of the kind
};

/// All pools, and what their blocks contain. A block whose content is known keeps it when its last owner leaves,
/// until the block is taken for something else.
class BlockCache {
 public:
  BlockCache(const std::vector<PoolSpec>& pools, int block_tokens);

  size_t pools() const { return pools_.size(); }
  const BlockPool& pool(size_t p) const { return pools_[p]; }
  const PrefixIndex& prefixes() const { return prefixes_; }
  /// The node that the block's content is known as, or PrefixIndex::none.
  int32_t content(size_t p, int32_t block) const { return content_[p][size_t(block)]; }

  int32_t take(size_t p);
  void share(size_t p, int32_t block) { pools_[p].share(block); }
  /// `keep`: the content may be asked for again.
  void release(size_t p, int32_t block, bool keep);

  /// The step under way fills a block after the prefix `parent` with `tokens`; block[p] is where (or none).
  /// Returns the serial of the prefix that ends with it.
  uint64_t publish(uint64_t parent, std::span<const int32_t> tokens, std::span<const int32_t> block);
  /// The step has been run: what was published in it can be used.
  void settle();

  /// The longest prefix of `tokens` whose keys and values are there; its nodes go to `nodes`. `pending` tells that
  /// the step under way computes the block after it: who waits for a step finds more.
  struct Match {
    int64_t blocks = 0;
    bool pending = false;
  };
  Match match(std::span<const int32_t> tokens, std::vector<int32_t>& nodes) const;

 private:
  bool window_is_there(int64_t blocks, std::span<const int64_t> run) const;

  std::vector<PoolSpec> specs_;
  size_t block_tokens_;
  std::vector<BlockPool> pools_;
  std::vector<std::vector<int32_t>> content_;  // [pool][block] node
  PrefixIndex prefixes_;
  std::vector<int32_t> pending_;      // nodes published in the step under way
  mutable std::vector<int64_t> run_;  // match(): per pool, how many blocks in a row are there
};

/// The block in which the window of a query at `position` begins.
int64_t first_visible_block(int64_t window, int64_t position, int64_t block_tokens);

}  // namespace chorus::scheduler
