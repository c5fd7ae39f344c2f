#pragma once

#include <memory>
#include <span>
#include <string>

#include "tokenizer/tokenizer.h"

namespace chorus::cli {

/// A prompt for a terminal: special tokens reversed, roles green, channels magenta, recipients and content types
/// yellow, and the tokens of the contents in two colours by turns.
std::string coloured_prompt(const std::shared_ptr<const tokenizer::Tokenizer>& tokenizer,
                            std::span<const int32_t> ids);

}  // namespace chorus::cli
