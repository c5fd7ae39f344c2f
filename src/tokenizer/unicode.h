#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace chorus::tokenizer {

/// What the pre-tokenizers ask about a code point (general categories).
enum CharClass : uint8_t {
  upper = 1,         ///< Lu, Lt
  lower = 2,         ///< Ll
  other_letter = 4,  ///< Lm, Lo
  mark = 8,          ///< M
  number = 16,       ///< N
  space = 32,        ///< White_Space
  punctuation = 64,  ///< P
  symbol = 128,      ///< S
  letter = upper | lower | other_letter,
};

/// Classes of all code points, in blocks of 256.
struct CharTable {
  uint8_t ascii[128];
  uint16_t block[0x1100];
  uint8_t classes[256 * 256];  ///< of the different blocks, of which there are some 220

  uint8_t of(char32_t c) const {
    return c < 128 ? ascii[c] : c < 0x110000 ? classes[size_t(block[c >> 8]) * 256 + (c & 0xff)] : 0;
  }
};
const CharTable& char_table();

struct Char {
  char32_t value;
  uint32_t size;
};

/// The code point at text[at] of text that is known to be UTF-8; at < text.size().
inline Char char_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return char32_t(static_cast<unsigned char>(text[at + i])); };
  const char32_t c = byte(0);
  if (c < 0x80) return {c, 1};
  if (c < 0xe0) return {(c & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  if (c < 0xf0) return {(c & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f), 3};
  return {(c & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f), 4};
}

/// Where the character before `at` begins; at > 0.
inline size_t char_before(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
  return at;
}

bool is_white_space(char32_t c);
bool is_numeric(char32_t c);      ///< Nd, Nl, No
bool is_punctuation(char32_t c);  ///< P, and ASCII's symbols
bool is_mark(char32_t c);         ///< Mn, Mc, Me
bool is_nonspacing_mark(char32_t c);
bool is_other(char32_t c);  ///< Cc, Cf, Cs, Co
bool is_word(char32_t c);   ///< \w of Unicode's regular expressions (UTS 18)

}  // namespace chorus::tokenizer
