#pragma once

#include <cstdint>
#include <vector>

namespace chorus::tokenizer {

/// What a pair of neighbours becomes. Ordered by rank: the lower one merges first.
struct Merge {
  uint64_t rank_and_id = ~uint64_t(0);

  bool none() const { return rank_and_id == ~uint64_t(0); }
  uint32_t rank() const { return uint32_t(rank_and_id >> 32); }
  int32_t id() const { return int32_t(uint32_t(rank_and_id)); }
  auto operator<=>(const Merge&) const = default;
};

/// (left id, right id) -> rank of the merge, and id of the merged token.
class MergeTable {
 public:
  void reserve(size_t merges) {
    size_t slots = 16;
    while (slots < 2 * merges) slots *= 2;
    slots_.assign(slots, Slot());
  }

  /// The next rank. Of two merges of one pair the later counts.
  void add(int32_t left, int32_t right, int32_t merged) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    slots_[probe(key_of(left, right))] = {key_of(left, right), {uint64_t(size_) << 32 | uint32_t(merged)}};
    ++size_;
  }

  void prefetch(int32_t left, int32_t right) const { __builtin_prefetch(&slots_[home(key_of(left, right))]); }

  /// Ids of -1 merge with nothing.
  Merge find(int32_t left, int32_t right) const { return slots_[probe(key_of(left, right))].merge; }

 private:
  static constexpr uint64_t free_key = ~uint64_t(0);
  struct Slot {
    uint64_t key = free_key;
    Merge merge;
  };

  static uint64_t key_of(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

  size_t home(uint64_t key) const {
    return size_t((key ^ key >> 29) * 0x9e3779b97f4a7c15 >> 32) & (slots_.size() - 1);
  }

  size_t probe(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    for (size_t at = home(key);; at = (at + 1) & mask)
      if (slots_[at].key == key || slots_[at].key == free_key) return at;
  }

  void grow() {
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(2 * old.size(), Slot());
    for (const Slot& slot : old)
      if (slot.key != free_key) slots_[probe(slot.key)] = slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);  // a power of two, at most half full
  uint32_t size_ = 0;                                // merges added
};

}  // namespace chorus::tokenizer
