#include "scheduler/block_pool.h"

#include <algorithm>
#include <cassert>

namespace chorus::scheduler {

BlockPool::BlockPool(int64_t blocks)
    : owners_(size_t(blocks)), next_(size_t(blocks) + 1), previous_(size_t(blocks) + 1) {
  next_[size_t(head())] = previous_[size_t(head())] = head();
  for (int32_t block = 0; block < head(); ++block) free_last(block);
}

int32_t BlockPool::take() {
  assert(free_ > 0);
  const int32_t block = next_[size_t(head())];
  share(block);
  return block;
}

void BlockPool::share(int32_t block) {
  if (owners_[size_t(block)]++ > 0) return;
  unlink(block);
  most_used_ = std::max(most_used_, size() - free_);
}

bool BlockPool::release(int32_t block) {
  assert(owners_[size_t(block)] > 0);
  return --owners_[size_t(block)] == 0;
}

void BlockPool::link(int32_t block, int32_t before, int32_t after) {
  previous_[size_t(block)] = before;
  next_[size_t(block)] = after;
  next_[size_t(before)] = previous_[size_t(after)] = block;
  ++free_;
}

void BlockPool::unlink(int32_t block) {
  const int32_t before = previous_[size_t(block)], after = next_[size_t(block)];
  next_[size_t(before)] = after;
  previous_[size_t(after)] = before;
  --free_;
}

}  // namespace chorus::scheduler
