#pragma once

#include "tokenizer/added_tokens.h"
#include "tokenizer/decoder.h"
#include "tokenizer/model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pieces.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/tokenizer.h"

namespace chorus::tokenizer {

struct Tokenizer::Parts {
  Vocabulary vocabulary;
  AddedTokens added;
  std::vector<std::unique_ptr<Normalizer>> normalizers;
  std::vector<std::unique_ptr<PreTokenizer>> pre_tokenizers;
  std::unique_ptr<Model> model;
  PostProcessor post_processor;
  std::unique_ptr<Decoder> decoder;

  /// As the decoder sees it; null data where the id is not in use.
  std::string_view text(int32_t id) const {
    const AddedToken* token = added.of_id(id);
    return token != nullptr ? std::string_view(token->text) : vocabulary.token(id);
  }
};

/// Fills everything from the text of a tokenizer.json but added.build().
void load_tokenizer_json(std::string_view json, Tokenizer::Parts& parts);
/// The same from a tokenizer.model of SentencePiece.
void load_sentencepiece(const std::string& model, Tokenizer::Parts& parts);

}  // namespace chorus::tokenizer
