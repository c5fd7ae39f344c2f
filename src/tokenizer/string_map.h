#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace chorus::tokenizer {

inline uint64_t hash_bytes(const char* bytes, size_t size) {
  constexpr uint64_t mix = 0x9e3779b97f4a7c15;
  const auto load = [](const char* at, size_t n) {
    uint64_t value = 0;
    std::memcpy(&value, at, n);
    return value;
  };
  uint64_t hash = (size + 1) * mix;
  const char* const end = bytes + size;
  for (; end - bytes > 8; bytes += 8) {
    hash = (hash ^ load(bytes, 8)) * mix;
    hash ^= hash >> 29;
  }
  const size_t rest = size_t(end - bytes);
  uint64_t tail = 0;
  if (rest == 8)
    tail = load(bytes, 8);
  else if (rest >= 4)
    tail = load(bytes, 4) | load(end - 4, 4) << 32;
  else if (rest > 0)
    tail =
        uint64_t(uint8_t(bytes[0])) | uint64_t(uint8_t(bytes[rest / 2])) << 8 | uint64_t(uint8_t(end[-1])) << 16;
  hash = (hash ^ tail) * mix;
  return hash ^ hash >> 32;
}

/// Strings -> ids: one arena of bytes, one open-addressed table, no allocation per entry (a vocabulary has
/// 200,000).
class StringMap {
 public:
  StringMap() { rehash(16); }

  void reserve(size_t entries, size_t bytes) {
    arena_.reserve(bytes);
    size_t slots = slots_.size();
    while (slots < 2 * entries) slots *= 2;
    if (slots > slots_.size()) rehash(slots);
  }

  /// A second insert of the same string replaces its id. `id` >= 0.
  void insert(std::string_view text, int32_t id) {
    if (2 * (size_ + 1) > slots_.size()) rehash(2 * slots_.size());
    const uint64_t hash = hash_bytes(text.data(), text.size());
    Slot& slot = slots_[probe(text, hash)];
    if (slot.id < 0) {
      slot = {uint32_t(hash >> 32), id, uint32_t(arena_.size()), uint32_t(text.size())};
      arena_.append(text);
      ++size_;
    }
    slot.id = id;
  }

  /// The id, or -1.
  int32_t find(std::string_view text) const { return find(text, hash_bytes(text.data(), text.size())); }

  /// The same in three steps, for many strings at once: the table is larger than the caches, and asking for all
  /// places before looking at the first saves most of the waiting.
  int32_t find(std::string_view text, uint64_t hash) const { return slots_[probe(text, hash)].id; }
  void prefetch_slot(uint64_t hash) const { __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]); }
  void prefetch_text(uint64_t hash) const {
    __builtin_prefetch(arena_.data() + slots_[hash & (slots_.size() - 1)].begin);
  }

  size_t size() const { return size_; }
  size_t arena_bytes() const { return arena_.size(); }

  /// Calls visit(text, id) for every entry, in the order of the table; the text lives as long as the map.
  template <typename F>
  void for_each(F visit) const {
    for (const Slot& slot : slots_)
      if (slot.id >= 0) visit(text_of(slot), slot.id);
  }

 private:
  struct Slot {
    uint32_t tag;  // upper half of the hash
    int32_t id;    // -1 = free
    uint32_t begin, size;
  };

  std::string_view text_of(const Slot& slot) const { return {arena_.data() + slot.begin, slot.size}; }

  size_t probe(std::string_view text, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.id < 0) return at;
      if (slot.tag == uint32_t(hash >> 32) && slot.size == text.size() &&
          std::memcmp(arena_.data() + slot.begin, text.data(), text.size()) == 0)
        return at;
    }
  }

  void rehash(size_t slots) {
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(slots, Slot{0, -1, 0, 0});
    for (const Slot& slot : old)
      if (slot.id >= 0) {
        const std::string_view text = text_of(slot);
        slots_[probe(text, hash_bytes(text.data(), text.size()))] = slot;
      }
  }

  std::string arena_;
  std::vector<Slot> slots_;  // a power of two, at most half full
  size_t size_ = 0;
};

}  // namespace chorus::tokenizer
