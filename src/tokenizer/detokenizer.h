#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tokenizer/tokenizer.h"

namespace chorus::tokenizer {

class DecodeStream;  // decoder.h

/// Text of a growing sequence of ids, piece by piece: all pieces together equal Tokenizer::decode of all ids.
/// Every piece is whole UTF-8 characters; what later ids could still change is held back.
class Detokenizer {
 public:
  explicit Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special = false);
  Detokenizer(Detokenizer&&) noexcept;
  Detokenizer& operator=(Detokenizer&&) noexcept;
  ~Detokenizer();

  /// The text that this id settles; often empty inside a character.
  std::string add(int32_t id);
  /// What was held back; begins anew afterwards.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  std::unique_ptr<DecodeStream> stream_;
};

}  // namespace chorus::tokenizer
