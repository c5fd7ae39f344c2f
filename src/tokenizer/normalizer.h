#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/config_node.h"

namespace chorus::tokenizer {

/// Text -> text before it is cut into pieces. Input and output are UTF-8.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual std::string apply(std::string text) const = 0;
};

/// Steps to be run in order; `node` is the object "normalizer".
std::vector<std::unique_ptr<Normalizer>> load_normalizers(const ConfigNode& node);

/// SentencePiece's table of replacements, base64 as in "precompiled_charsmap".
std::unique_ptr<Normalizer> precompiled_charsmap(const ConfigNode& node);

}  // namespace chorus::tokenizer
