#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace chorus {

/// One code point and how many bytes it took. `valid` is false where the bytes are not UTF-8 (overlong forms and
/// surrogates included); then the code point is U+FFFD and `size` the length of the maximal broken piece, as the
/// Unicode standard (3.9, "substitution of maximal subparts") and Python's errors="replace" count it.
struct CodePoint {
  char32_t value;
  size_t size;
  bool valid;
};

/// The code point that begins at text[at]; at < text.size().
CodePoint decode_utf8(std::string_view text, size_t at);

void append_utf8(std::string& out, char32_t code_point);

/// Whether all of the text is UTF-8.
bool is_utf8(std::string_view text);

/// Inline, because most texts are names of a few letters.
inline bool is_ascii(std::string_view text) {
  const auto high_bits = [&]<typename Word>(size_t at, Word word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    return word & Word(0x8080808080808080);
  };
  const size_t size = text.size();
  if (size >= 8) {
    for (size_t at = 0; at + 8 < size; at += 8)
      if (high_bits(at, uint64_t()) != 0) return false;
    return high_bits(size - 8, uint64_t()) == 0;
  }
  if (size >= 4) return (high_bits(0, uint32_t()) | high_bits(size - 4, uint32_t())) == 0;
  char bits = 0;
  for (const char c : text) bits |= c;
  return static_cast<unsigned char>(bits) < 0x80;
}

/// Every broken piece replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

/// The length of the longest prefix that does not end inside a character that more bytes could complete.
size_t complete_utf8_prefix(std::string_view text);

/// Number of code points.
size_t utf8_length(std::string_view text);

}  // namespace chorus
