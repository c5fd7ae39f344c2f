#pragma once

#include <cstdint>
#include <vector>

namespace chorus::tokenizer {

/// (left id, right id) -> rank of the merge, and rank -> id of the merged token.
class MergeTable {
 public:
  static constexpr uint32_t none = 0xffffffff;

  void reserve(size_t merges) {
    size_t slots = 16;
    while (slots < 2 * merges) slots *= 2;
    slots_.assign(slots, Slot{free_key, 0});
    merged_.reserve(merges);
  }

  /// The next rank. Of two merges of one pair the later counts.
  void add(int32_t left, int32_t right, int32_t merged) {
    if (2 * (merged_.size() + 1) > slots_.size()) grow();
    slots_[probe(key_of(left, right))] = {key_of(left, right), uint32_t(merged_.size())};
    merged_.push_back(merged);
  }

  void prefetch(int32_t left, int32_t right) const { __builtin_prefetch(&slots_[home(key_of(left, right))]); }

  /// `none` where the pair does not merge. Ids of -1 merge with nothing.
  uint32_t rank(int32_t left, int32_t right) const {
    const Slot& slot = slots_[probe(key_of(left, right))];
    return slot.key == free_key ? none : slot.rank;
  }

  int32_t merged(uint32_t rank) const { return merged_[rank]; }

 private:
  static constexpr uint64_t free_key = ~uint64_t(0);
  struct Slot {
    uint64_t key;
    uint32_t rank;
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
    slots_.assign(2 * old.size(), Slot{free_key, 0});
    for (const Slot& slot : old)
      if (slot.key != free_key) slots_[probe(slot.key)] = slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16, Slot{free_key, 0});  // a power of two, at most half full
  std::vector<int32_t> merged_;                                         // by rank
};

}  // namespace chorus::tokenizer
