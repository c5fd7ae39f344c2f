#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tokenizer/decoder.h"

namespace chorus::tokenizer {

/// The steps by the names of tokenizer.json. `fused`: an earlier step has made one token of all.
std::unique_ptr<DecodeStep> byte_level_step();
std::unique_ptr<DecodeStep> byte_fallback_step();
std::unique_ptr<DecodeStep> fuse_step();
std::unique_ptr<DecodeStep> metaspace_step(std::string replacement, bool drops_first, bool fused);
std::unique_ptr<DecodeStep> replace_step(std::string literal, std::string content, bool fused);
std::unique_ptr<DecodeStep> strip_step(std::string content, size_t start, size_t stop, bool fused);
std::unique_ptr<DecodeStep> word_piece_step(std::string prefix, bool cleanup);
std::unique_ptr<DecodeStep> bpe_suffix_step(std::string suffix);
std::unique_ptr<DecodeStep> blank_between_step();
/// Changes each token alone; behind a fuse everything is held until the end.
std::unique_ptr<DecodeStep> map_step(std::function<std::string(std::string_view)> map, bool fused);

}  // namespace chorus::tokenizer
