#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"

namespace chorus::tokenizer {

/// A stretch of text between added tokens on its way through the pre-tokenizers: `spans` are the pieces so far, in
/// order, never empty. Steps either cut spans or rewrite the text.
struct Pieces {
  std::string text;
  std::vector<Match> spans;
  bool starts_input = false;  ///< the stretch begins where the whole input begins

  std::string_view view(const Match& span) const {
    return std::string_view(text).substr(span.begin, span.end - span.begin);
  }
};

/// What becomes of the matches of a pattern (the names of tokenizer.json).
enum class Behavior { removed, isolated, contiguous, merged_with_previous, merged_with_next };

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

struct PreTokenizers {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  /// The last step is ByteLevel's change of alphabet (byte -> printable character), which has been left out: a
  /// model over bytes saves both ways.
  bool byte_level_last = false;
};

/// `node` is the object "pre_tokenizer".
PreTokenizers load_pre_tokenizers(const ConfigNode& node);
/// The change of alphabet by itself.
std::unique_ptr<PreTokenizer> byte_alphabet_step();

}  // namespace chorus::tokenizer
