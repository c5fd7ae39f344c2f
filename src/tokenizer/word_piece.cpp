#include "base/utf8.h"
#include "tokenizer/model.h"
#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

/// Takes the longest token that begins the rest of a piece, again and again; tokens inside a word have a prefix.
class WordPiece : public Model {
 public:
  WordPiece(const Vocabulary& vocabulary, const ConfigNode& options)
      : vocabulary_(vocabulary),
        prefix_(options.string_or("continuing_subword_prefix", "##")),
        unknown_id_(vocabulary.find(options.string_or("unk_token", "[UNK]"))),
        max_characters_(size_t(options.integer_or("max_input_chars_per_word", 100))) {
    if (unknown_id_ < 0) {
      throw Error(Fault::model, "a token that the tokenizer needs is not in its vocabulary")
          .with("part", "model.unk_token")
          .with("token", options.string_or("unk_token", "[UNK]"));
    }
  }

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    const size_t before = ids.size();
    bool known = utf8_length(piece) <= max_characters_;
    std::string candidate;
    for (size_t at = 0; known && at < piece.size();) {
      size_t end = piece.size();
      int32_t id = -1;
      for (; end > at; end = char_before(piece, end)) {
        candidate = at > 0 ? prefix_ : "";
        candidate += piece.substr(at, end - at);
        if ((id = vocabulary_.find(candidate)) >= 0) break;
      }
      known = id >= 0;
      ids.push_back(id);
      at = end;
    }
    if (known) return;
    ids.resize(before);
    ids.push_back(unknown_id_);  // one for the whole piece
  }

 private:
  const Vocabulary& vocabulary_;
  std::string prefix_;
  int32_t unknown_id_;
  size_t max_characters_;
};

/// A piece is a token or unknown.
class WordLevel : public Model {
 public:
  WordLevel(const Vocabulary& vocabulary, int32_t unknown_id) : vocabulary_(vocabulary), unknown_id_(unknown_id) {}

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    const int32_t id = vocabulary_.find(piece);
    if (id < 0 && unknown_id_ < 0) {
      throw Error(Fault::input, "a word is not in the vocabulary, and the tokenizer has no unknown token")
          .with("word", piece.substr(0, 80));
    }
    ids.push_back(id >= 0 ? id : unknown_id_);
  }

 private:
  const Vocabulary& vocabulary_;
  int32_t unknown_id_;
};

}  // namespace

std::unique_ptr<Model> load_word_piece(const ModelSource& source, Vocabulary& vocabulary) {
  load_vocabulary(source.vocab, vocabulary);
  return std::make_unique<WordPiece>(vocabulary, source.options);
}

std::unique_ptr<Model> load_word_level(const ModelSource& source, Vocabulary& vocabulary) {
  load_vocabulary(source.vocab, vocabulary);
  return std::make_unique<WordLevel>(vocabulary, vocabulary.find(source.options.string_or("unk_token", "")));
}

}  // namespace chorus::tokenizer
