#include "tokenizer/byte_alphabet.h"

#include "base/utf8.h"
#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

ByteAlphabet make_alphabet() {
  ByteAlphabet alphabet;
  alphabet.byte_of.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    const char32_t c = printable ? char32_t(byte) : next++;
    append_utf8(alphabet.of_byte[size_t(byte)], c);
    alphabet.byte_of[c] = int16_t(byte);
  }
  return alphabet;
}

}  // namespace

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet = make_alphabet();
  return alphabet;
}

void append_in_byte_alphabet(std::string& out, std::string_view bytes) {
  const ByteAlphabet& alphabet = byte_alphabet();
  for (const char byte : bytes) out += alphabet.of_byte[static_cast<unsigned char>(byte)];
}

bool append_bytes_of_alphabet(std::string& out, std::string_view text) {
  const ByteAlphabet& alphabet = byte_alphabet();
  const size_t before = out.size();
  for (size_t at = 0; at < text.size();) {
    const Char c = char_at(text, at);
    const int byte = c.value < alphabet.byte_of.size() ? alphabet.byte_of[c.value] : -1;
    if (byte < 0) {
      out.resize(before);
      return false;
    }
    out += char(byte);
    at += c.size;
  }
  return true;
}

}  // namespace chorus::tokenizer
