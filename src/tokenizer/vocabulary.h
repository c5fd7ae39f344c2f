#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/string_map.h"

namespace chorus::tokenizer {

/// Highest id that a file may give: tables are as long as the highest id, and a hostile file shall not decide how
/// much memory that is. The largest vocabularies in use have under 300,000 entries.
constexpr int32_t max_token_id = (1 << 22) - 1;

/// Tokens as the file spells them, both ways.
class Vocabulary {
 public:
  void reserve(size_t entries, size_t bytes) { ids_.reserve(entries, bytes); }
  void insert(std::string_view token, int32_t id) { ids_.insert(token, id); }

  /// To be called when all tokens are in: builds id -> token. Of two tokens with one id, any is taken.
  void build_reverse() {
    int32_t highest = -1;
    ids_.for_each([&](std::string_view, int32_t id) { highest = std::max(highest, id); });
    tokens_.assign(size_t(highest + 1), {});
    ids_.for_each([&](std::string_view token, int32_t id) { tokens_[size_t(id)] = token; });
  }

  int32_t find(std::string_view token) const { return ids_.find(token); }  ///< -1 where there is none
  const StringMap& ids() const { return ids_; }
  size_t size() const { return ids_.size(); }
  size_t bytes() const { return ids_.arena_bytes(); }
  int32_t id_limit() const { return int32_t(tokens_.size()); }  ///< the highest id + 1

  /// Null data for an id that is not in use (a token may be the empty string).
  std::string_view token(int32_t id) const {
    return id >= 0 && size_t(id) < tokens_.size() ? tokens_[size_t(id)] : std::string_view();
  }

 private:
  StringMap ids_;
  std::vector<std::string_view> tokens_;  // into the map's arena
};

}  // namespace chorus::tokenizer
