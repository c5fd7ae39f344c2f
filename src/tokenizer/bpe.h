#pragma once

#include <array>
#include <atomic>

#include "tokenizer/merge_table.h"
#include "tokenizer/model.h"

namespace chorus::tokenizer {

struct BpeOptions {
  std::string prefix;          ///< continuing_subword_prefix: before every symbol of a piece but the first
  std::string suffix;          ///< end_of_word_suffix: behind the last
  int32_t unknown_id = -1;     ///< -1: characters that the vocabulary lacks are left out
  bool fuse_unknown = false;   ///< one unknown token for neighbouring unknown characters
  bool byte_fallback = false;  ///< unknown characters become <0xHH> tokens
  bool ignore_merges = false;  ///< a piece that is a token is that token, whatever the merges say
};

/// Byte pair encoding: a piece begins as characters (or bytes), and the pair of neighbours whose merge has the
/// lowest rank, the leftmost of equals, becomes one symbol until no pair merges.
class Bpe : public Model {
 public:
  /// `words`: token -> id in the form in which pieces come. `bytes`: pieces are raw bytes, and so are the words.
  Bpe(StringMap words, MergeTable merges, BpeOptions options, std::vector<int32_t> fallback_ids, bool bytes);

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override;
  bool takes_bytes() const override { return bytes_; }

 private:
  using Symbols = std::vector<int32_t>;
  void encode_anew(std::string_view piece, uint64_t hash, std::vector<int32_t>& ids) const;
  void first_symbols(std::string_view piece, Symbols& symbols) const;
  void symbols_of_characters(std::string_view piece, Symbols& symbols) const;
  bool is_one_token(std::string_view piece, int32_t id) const;
  size_t merge(std::string_view piece, int32_t* symbols, size_t n) const;
  size_t merge_short(std::string_view piece, int32_t* symbols, size_t n) const;
  size_t merge_long(int32_t* symbols, size_t n) const;

  uint32_t number_;  // of this model, among all of the process
  StringMap words_;
  MergeTable merges_;
  BpeOptions options_;
  std::vector<int32_t> fallback_ids_;
  bool bytes_;
  std::array<int32_t, 256> id_of_byte_;
  std::vector<Merge> byte_pairs_;  // by left byte * 256 + right byte; empty where symbols are characters
  // Whether the merges turn a token's own text into that token: 0 = not yet known. Found out at the first use.
  mutable std::vector<std::atomic<uint8_t>> reachable_;
};

}  // namespace chorus::tokenizer
