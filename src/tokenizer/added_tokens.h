#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "tokenizer/config_node.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/vocabulary.h"

namespace chorus::tokenizer {

/// A token that is looked for in the text itself, before anything else happens to it.
struct AddedToken {
  std::string content;
  int32_t id;
  bool special = false;      ///< left out of skip_special decoding; not looked for without parse_special
  bool normalized = false;   ///< looked for in the normalized text
  bool single_word = false;  ///< only where no letter or digit touches it
  bool lstrip = false, rstrip = false;  ///< takes the white space before or behind it along
  bool searched = true;                 ///< false: known by id only, as sentencepiece's control tokens
  std::string text =
      {};  ///< what is looked for and what the decoder sees: the content, normalized where it says so
};

/// An object of "added_tokens", or of tokenizer_config.json's "added_tokens_decoder", where the id is the key.
AddedToken added_token_of(const ConfigNode& node, int32_t id);

class AddedTokens {
 public:
  /// A later token of the same content or id is ignored.
  void add(AddedToken token);
  /// Marks the token special, to be looked for; false where it is not known.
  bool make_special(std::string_view content);
  /// To be called when all tokens are in.
  void build(const std::vector<std::unique_ptr<Normalizer>>& normalizers);

  /// Cuts the text at the tokens whose `normalized` is as given: each(begin, end, id), where id is -1 for the text
  /// between tokens. Nothing is said of empty stretches.
  void split(std::string_view text, bool normalized, bool parse_special,
             FunctionRef<void(size_t begin, size_t end, int32_t id)> each) const;

  const AddedToken* of_id(int32_t id) const;
  const AddedToken* of_content(std::string_view content) const;
  int32_t id_limit() const { return int32_t(index_of_id_.size()); }

 private:
  /// Finds the longest of a set of strings at a place.
  class Finder {
   public:
    void add(std::string_view text, size_t index);
    bool empty() const { return indices_.size() == 0; }
    /// The next place from `at` on where one begins; its index and end. False where there is none.
    bool find(std::string_view text, size_t& at, size_t& end, size_t& index) const;

   private:
    StringMap indices_;
    std::bitset<256> single_;    // bytes that are a token of their own
    std::bitset<65536> pairs_;   // first two bytes of the longer ones
    std::vector<size_t> sizes_;  // the different lengths, longest first
  };

  std::vector<AddedToken> tokens_;
  StringMap index_of_content_;
  std::vector<int32_t> index_of_id_;  // -1 = not an added token
  Finder raw_, normalized_;
};

}  // namespace chorus::tokenizer
