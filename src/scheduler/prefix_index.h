#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace chorus::scheduler {

/// Which blocks hold the keys and values of which token prefix.
///
/// A node stands for one full block of tokens after a given prefix. Its key is (serial of the node before it, its
/// tokens), compared in full; serials are never used twice, so by induction a node found from the root stands for
/// exactly the tokens on the way to it. A node lives while a block of some pool is attached to it.
class PrefixIndex {
 public:
  static constexpr uint64_t root = 0;
  static constexpr int32_t none = -1;

  /// At most `blocks` blocks are attached at a time, all pools together.
  PrefixIndex(int64_t blocks, size_t pools, int block_tokens);

  int32_t find(uint64_t parent, std::span<const int32_t> tokens) const;
  /// A node that find() does not know; a block must be attached at once.
  int32_t add(uint64_t parent, std::span<const int32_t> tokens);
  void attach(int32_t node, size_t pool, int32_t block);
  /// Takes the pool's block from the node, which goes with its last block.
  void detach(int32_t node, size_t pool);

  uint64_t serial(int32_t node) const { return nodes_[size_t(node)].serial; }
  /// The pool's block, or none.
  int32_t block(int32_t node, size_t pool) const { return blocks_[size_t(node) * pools_ + pool]; }
  /// A block of it is being computed in the step under way.
  bool pending(int32_t node) const { return nodes_[size_t(node)].pending; }
  void set_pending(int32_t node, bool pending) { nodes_[size_t(node)].pending = pending; }
  int64_t size() const { return size_; }

 private:
  struct Node {
    uint64_t serial = 0, parent = 0;
    int32_t next = none;  // in its bucket, or in the list of unused nodes
    int32_t attached = 0;
    bool pending = false;
  };
  size_t bucket(uint64_t parent, std::span<const int32_t> tokens) const;
  std::span<const int32_t> tokens(int32_t node) const;

  size_t pools_, block_tokens_;
  std::vector<Node> nodes_;
  std::vector<int32_t> tokens_;   // [nodes, block_tokens]
  std::vector<int32_t> blocks_;   // [nodes, pools]
  std::vector<int32_t> buckets_;  // first node of each; a power of two
  int32_t unused_ = none;
  uint64_t last_serial_ = root;
  int64_t size_ = 0;
};

}  // namespace chorus::scheduler
