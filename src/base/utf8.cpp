#include "base/utf8.h"

namespace chorus {
namespace {

struct Lead {
  int size;                              // bytes of the whole character, 0 = not a lead byte
  unsigned char second_from, second_to;  // range of the second byte (Unicode standard, table 3-7)
};

Lead lead_of(unsigned char c) {
  if (c < 0x80) return {1, 0, 0};
  if (c < 0xc2) return {0, 0, 0};
  if (c < 0xe0) return {2, 0x80, 0xbf};
  if (c == 0xe0) return {3, 0xa0, 0xbf};
  if (c == 0xed) return {3, 0x80, 0x9f};
  if (c < 0xf0) return {3, 0x80, 0xbf};
  if (c == 0xf0) return {4, 0x90, 0xbf};
  if (c < 0xf4) return {4, 0x80, 0xbf};
  if (c == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

// How many bytes from `at` fit the beginning of one character.
size_t matching_bytes(std::string_view text, size_t at, const Lead& lead) {
  size_t n = 1;
  while (n < size_t(lead.size) && at + n < text.size()) {
    const auto c = static_cast<unsigned char>(text[at + n]);
    if (n == 1 ? (c < lead.second_from || c > lead.second_to) : (c & 0xc0) != 0x80) break;
    ++n;
  }
  return n;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto c = static_cast<unsigned char>(text[at]);
  if (c < 0x80) return {c, 1, true};
  const Lead lead = lead_of(c);
  if (lead.size == 0) return {0xfffd, 1, false};
  const size_t n = matching_bytes(text, at, lead);
  if (n < size_t(lead.size)) return {0xfffd, n, false};
  char32_t value = c & (0x7f >> lead.size);
  for (size_t i = 1; i < n; ++i) value = value << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
  return {value, n, true};
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xc0 | c >> 6);
    out += char(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += char(0xe0 | c >> 12);
    out += char(0x80 | (c >> 6 & 0x3f));
    out += char(0x80 | (c & 0x3f));
  } else {
    out += char(0xf0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3f));
    out += char(0x80 | (c >> 6 & 0x3f));
    out += char(0x80 | (c & 0x3f));
  }
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (at + 8 <= text.size() && is_ascii(text.substr(at, 8))) {
      at += 8;
      continue;
    }
    const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
    if (lead.size == 0 || matching_bytes(text, at, lead) < size_t(lead.size)) return false;
    at += size_t(lead.size);
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.valid)
      out.append(text, at, c.size);
    else
      append_utf8(out, 0xfffd);
    at += c.size;
  }
  return out;
}

size_t complete_utf8_prefix(std::string_view text) {
  // Only the last three bytes can begin a character that is cut off.
  const size_t from = text.size() < 3 ? 0 : text.size() - 3;
  for (size_t at = from; at < text.size(); ++at) {
    const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
    if (lead.size > 1 && at + size_t(lead.size) > text.size() &&
        at + matching_bytes(text, at, lead) == text.size())
      return at;
  }
  return text.size();
}

size_t utf8_length(std::string_view text) {
  size_t n = 0;
  for (size_t at = 0; at < text.size(); ++n) at += decode_utf8(text, at).size;
  return n;
}

}  // namespace chorus
