#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace chorus::scheduler {

/// Reference counts of the blocks of one pool, and the list of those that nobody owns, in the order in which they
/// are to be used again: first those without content, then those whose content somebody may ask for, oldest first.
class BlockPool {
 public:
  explicit BlockPool(int64_t blocks);

  int64_t size() const { return int64_t(owners_.size()); }
  int64_t free() const { return free_; }
  int64_t most_used() const { return most_used_; }
  int32_t owners(int32_t block) const { return owners_[std::size_t(block)]; }

  /// The next block of the free list, with one owner from now on. There must be one.
  int32_t take();
  /// One owner more; a free block leaves the free list.
  void share(int32_t block);
  /// One owner less. Returns whether it was the last; then the block belongs on the free list: the caller says
  /// where.
  bool release(int32_t block);
  void free_first(int32_t block) { link(block, head(), next_[std::size_t(head())]); }
  void free_last(int32_t block) { link(block, previous_[std::size_t(head())], head()); }

 private:
  int32_t head() const {
    return int32_t(owners_.size());
  }  // the ring's anchor has the number after the last block
  void link(int32_t block, int32_t before, int32_t after);
  void unlink(int32_t block);

  std::vector<int32_t> owners_;
  std::vector<int32_t> next_, previous_;  // the free list, a ring
  int64_t free_ = 0;
  int64_t most_used_ = 0;
};

}  // namespace chorus::scheduler
