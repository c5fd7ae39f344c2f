#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace chorus::tokenizer {

/// GPT-2's alphabet of 256 printable characters, one for each byte: itself where it is printable in Latin-1 and
/// not a blank, else U+0100 and up in the order of the bytes. Vocabularies of byte-level models are spelled in it.
struct ByteAlphabet {
  std::array<std::string, 256> of_byte;  // UTF-8
  std::array<int16_t, 0x144> byte_of;    // by code point, -1 = none
};
const ByteAlphabet& byte_alphabet();

/// Appends the text in the alphabet.
void append_in_byte_alphabet(std::string& out, std::string_view bytes);
/// Appends the bytes that `text` spells; false, and nothing appended, where a character is not of the alphabet.
bool append_bytes_of_alphabet(std::string& out, std::string_view text);

}  // namespace chorus::tokenizer
