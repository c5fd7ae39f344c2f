#pragma once

#include <cstddef>
#include <cstdint>
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
bool is_ascii(std::string_view text);

/// Every broken piece replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

/// The length of the longest prefix that does not end inside a character that more bytes could complete.
size_t complete_utf8_prefix(std::string_view text);

/// Number of code points.
size_t utf8_length(std::string_view text);

}  // namespace chorus
