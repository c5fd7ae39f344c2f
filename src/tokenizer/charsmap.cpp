// SentencePiece's "precompiled_charsmap": base64 of
//   uint32 little-endian: bytes of the trie; the trie: a double array (Darts) of uint32 units; then the
//   replacements, zero-terminated UTF-8. A key's value in the trie is the offset of its replacement.
// A unit holds: bit 31 leaf (then bits 0-30 are the value), bits 0-7 the label, bit 8 "has a leaf",
// bits 10-30 the offset to the children, shifted by 8 more where bit 9 is set.
#include <utf8proc.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/utf8.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

std::optional<std::string> decode_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int8_t, 256> value_of;
  value_of.fill(-1);
  for (size_t i = 0; i < digits.size(); ++i) value_of[static_cast<unsigned char>(digits[i])] = int8_t(i);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = value_of[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | uint32_t(value);
    if ((count += 6) >= 8) out += char(bits >> (count -= 8) & 0xff);
  }
  return out;
}

class Charsmap : public Normalizer {
 public:
  Charsmap(std::string_view data, const ConfigNode& where) {
    uint32_t trie_bytes = 0;
    if (data.size() >= 4) std::memcpy(&trie_bytes, data.data(), 4);
    if (data.size() < 4 || trie_bytes > data.size() - 4 || trie_bytes % 4 != 0)
      throw where.invalid("a table of replacements whose trie lies within it");
    units_.resize(trie_bytes / 4);
    if (trie_bytes > 0) std::memcpy(units_.data(), data.data() + 4, trie_bytes);
    replacements_ = data.substr(4 + trie_bytes);
    if (!is_utf8(replacements_)) throw where.invalid("replacements in UTF-8");
  }

  std::string apply(std::string text) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const size_t end = grapheme_end(text, at);
      if (!(end - at < 6 && append_replacement(std::string_view(text).substr(at, end - at), out))) {
        for (size_t i = at; i < end;) {
          const size_t size = char_at(text, i).size;
          const std::string_view one = std::string_view(text).substr(i, size);
          if (!append_replacement(one, out)) out += one;
          i += size;
        }
      }
      at = end;
    }
    return out;
  }

 private:
  // What a person sees as one character; Hugging Face looks up these, up to 5 bytes, before single code points.
  static size_t grapheme_end(std::string_view text, size_t at) {
    utf8proc_int32_t state = 0;
    Char c = char_at(text, at);
    while (at + c.size < text.size()) {
      const Char next = char_at(text, at + c.size);
      if (utf8proc_grapheme_break_stateful(utf8proc_int32_t(c.value), utf8proc_int32_t(next.value), &state)) break;
      at += c.size;
      c = next;
    }
    return at + c.size;
  }

  // The replacement of the shortest prefix in the trie stands for all of `chunk` (as Hugging Face has it).
  bool append_replacement(std::string_view chunk, std::string& out) const {
    const auto unit = [&](size_t i) { return i < units_.size() ? units_[i] : 0u; };
    const auto children = [](uint32_t u) { return size_t(u >> 10) << ((u & (1u << 9)) >> 6); };
    size_t at = children(unit(0));
    for (const char c : chunk) {
      const auto label = static_cast<unsigned char>(c);
      if (label == 0) return false;
      at ^= label;
      const uint32_t u = unit(at);
      if ((u & (1u << 31 | 0xff)) != label) return false;
      at ^= children(u);
      if (u >> 8 & 1) {
        const size_t begin = unit(at) & 0x7fffffff;
        if (begin >= replacements_.size() || (static_cast<unsigned char>(replacements_[begin]) & 0xc0) == 0x80)
          return false;
        out.append(replacements_, begin, replacements_.find('\0', begin) - begin);
        return true;
      }
    }
    return false;
  }

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace

std::unique_ptr<Normalizer> precompiled_charsmap(const ConfigNode& node) {
  const std::optional<std::string> data = decode_base64(node.string("precompiled_charsmap"));
  if (!data) throw node.child("precompiled_charsmap").invalid("base64");
  return std::make_unique<Charsmap>(*data, node.child("precompiled_charsmap"));
}

}  // namespace chorus::tokenizer
