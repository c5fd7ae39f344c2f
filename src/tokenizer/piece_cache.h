#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace chorus::tokenizer {

/// What pieces became, for those that come again: words repeat, and the tables of a large vocabulary lie outside
/// the near caches. One place per hash; a thread has its own, for all models.
class PieceCache {
 public:
  static constexpr size_t max_bytes = 22, max_ids = 9;

  class Entry {
   public:
    bool holds(uint32_t model, std::string_view piece) const {
      return model_ == model && bytes_ == piece.size() && std::memcmp(piece_, piece.data(), bytes_) == 0;
    }
    std::span<const int32_t> ids() const { return {ids_, count_}; }
    /// Of a piece of at most max_bytes; does nothing for more than max_ids.
    void keep(uint32_t model, std::string_view piece, std::span<const int32_t> ids) {
      if (ids.size() > max_ids) return;
      model_ = model;
      bytes_ = uint8_t(piece.size());
      count_ = uint8_t(ids.size());
      std::copy(piece.begin(), piece.end(), piece_);
      std::copy(ids.begin(), ids.end(), ids_);
    }

   private:
    uint32_t model_ = 0;  // 0 = nothing kept
    uint8_t bytes_ = 0, count_ = 0;
    char piece_[max_bytes];
    int32_t ids_[max_ids];
  };
  static_assert(sizeof(Entry) == 64, "one line of the processor's caches");

  Entry& at(uint64_t hash) { return entries_[hash % entries]; }

  static PieceCache& of_thread() {
    thread_local PieceCache cache;
    return cache;
  }

 private:
  static constexpr size_t entries = 8192;  // 0.5 MB
  std::vector<Entry> entries_ = std::vector<Entry>(entries);
};

}  // namespace chorus::tokenizer
