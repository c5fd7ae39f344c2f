#pragma once

#include <string_view>

namespace chorus::harmony {

/// What Python's \w matches in a str: letters and numbers of any script, and the underscore.
bool is_word_character(char32_t c);

/// What Python's str.strip() removes.
bool is_space(char32_t c);

/// The text without leading and trailing is_space characters.
std::string_view strip(std::string_view text);

}  // namespace chorus::harmony
