#pragma once

#include <string>
#include <string_view>

namespace chorus::jinja {

// Characters as Python's str methods see them.

bool is_space(char32_t c);  ///< str.isspace, str.strip, \s of regular expressions
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_title(char32_t c);
bool is_printable(char32_t c);  ///< shown as it is by repr()
bool is_word(char32_t c);       ///< \w of regular expressions
inline bool is_alnum(char32_t c) {
  return is_alpha(c) || is_decimal(c) || is_digit(c) || is_numeric(c);
}
/// The value of a decimal digit of any script, -1 for others.
int decimal_value(char32_t c);

bool is_identifier(std::string_view text);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);
std::string case_fold(std::string_view text);

/// Without the white space at its ends.
std::string_view strip(std::string_view text, bool left, bool right);

/// The character of an escape like \N{BULLET}; 0 = not known. Knows the names of Latin-1, general punctuation,
/// currency, letterlike symbols, arrows, mathematical operators, boxes, shapes and dingbats.
char32_t character_named(std::string_view name);

}  // namespace chorus::jinja
