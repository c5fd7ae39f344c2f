#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/config_node.h"
#include "tokenizer/vocabulary.h"

namespace chorus::tokenizer {

/// The part that knows a vocabulary: one piece of the pre-tokenizer -> ids. Immutable, used from many threads.
class Model {
 public:
  virtual ~Model() = default;
  /// Appends the ids of the piece (not empty, UTF-8).
  virtual void encode(std::string_view piece, std::vector<int32_t>& ids) const = 0;
  /// Pieces are to be raw bytes, not spelled in the byte alphabet.
  virtual bool takes_bytes() const { return false; }
};

/// What tokenizer.json says of a model besides its big tables.
struct ModelSource {
  const ConfigNode& options;  ///< the object "model" without "vocab" and "merges"
  std::string_view vocab;     ///< JSON text
  std::string_view merges;    ///< JSON text, empty where there is none
  bool bytes;  ///< the pre-tokenizer ends with the byte alphabet, which the model may ask to leave out
};

/// Fills the vocabulary (its reverse included) and makes the model.
std::unique_ptr<Model> load_bpe(const ModelSource& source, Vocabulary& vocabulary);
std::unique_ptr<Model> load_unigram(const ModelSource& source, Vocabulary& vocabulary);
std::unique_ptr<Model> load_word_piece(const ModelSource& source, Vocabulary& vocabulary);
std::unique_ptr<Model> load_word_level(const ModelSource& source, Vocabulary& vocabulary);

/// {"token": id, ...} -> vocabulary.
void load_vocabulary(std::string_view json, Vocabulary& vocabulary);
/// The id of "<0xHH>" for each byte, -1 where the vocabulary lacks it.
std::vector<int32_t> byte_fallback_ids(const Vocabulary& vocabulary);

}  // namespace chorus::tokenizer
