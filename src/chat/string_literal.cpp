#include "chat/string_literal.h"

#include <cstdint>
#include <cstdio>

#include "base/utf8.h"
#include "chat/failure.h"
#include "chat/unicode.h"

namespace chorus::jinja {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = char(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

char32_t hex_escape(std::string_view body, size_t& at, int digits, const char* form) {
  uint32_t value = 0;
  for (int i = 0; i < digits; ++i, ++at) {
    const int digit = at < body.size() ? hex_digit(body[at]) : -1;
    if (digit < 0) fail(Cause::syntax, std::string("truncated ") + form + " escape");
    value = value << 4 | uint32_t(digit);
  }
  if (value > 0x10ffff) fail(Cause::syntax, "illegal Unicode character");
  if (value >= 0xd800 && value <= 0xdfff) fail(Cause::syntax, "a lone surrogate is not a character");
  return value;
}

char32_t named_escape(std::string_view body, size_t& at) {
  const size_t end = at < body.size() && body[at] == '{' ? body.find('}', at) : std::string_view::npos;
  if (end == std::string_view::npos) fail(Cause::syntax, "malformed \\N character escape");
  const std::string_view name = body.substr(at + 1, end - at - 1);
  const char32_t c = character_named(name);
  if (c == 0) fail(Cause::syntax, "unknown Unicode character name: " + std::string(name));
  at = end + 1;
  return c;
}

// Jinja2 turns what is not ASCII into escapes before it resolves them, so a backslash in front of such a character
// protects the escape that it became: "\é" is a backslash and "xe9".
void escaped_non_ascii(std::string& out, char32_t c) {
  char digits[12];
  std::snprintf(digits, sizeof digits, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", unsigned(c));
  out += digits;
}

void escape(std::string& out, std::string_view body, size_t& at) {
  const char c = body[at++];
  switch (c) {
    case '\n':
      return;
    case 'a':
      out += '\a';
      return;
    case 'b':
      out += '\b';
      return;
    case 'f':
      out += '\f';
      return;
    case 'n':
      out += '\n';
      return;
    case 'r':
      out += '\r';
      return;
    case 't':
      out += '\t';
      return;
    case 'v':
      out += '\v';
      return;
    case 'x':
      return append_utf8(out, hex_escape(body, at, 2, "\\xXX"));
    case 'u':
      return append_utf8(out, hex_escape(body, at, 4, "\\uXXXX"));
    case 'U':
      return append_utf8(out, hex_escape(body, at, 8, "\\UXXXXXXXX"));
    case 'N':
      return append_utf8(out, named_escape(body, at));
    case '\\':
    case '\'':
    case '"':
      out += c;
      return;
    default:
      break;
  }
  if (c >= '0' && c <= '7') {
    char32_t value = char32_t(c - '0');
    for (int i = 0; i < 2 && at < body.size() && body[at] >= '0' && body[at] <= '7'; ++i)
      value = value * 8 + char32_t(body[at++] - '0');
    append_utf8(out, value);
  } else if (static_cast<unsigned char>(c) >= 0x80) {
    const CodePoint code_point = decode_utf8(body, --at);
    at += code_point.size;
    escaped_non_ascii(out, code_point.value);
  } else {
    out += '\\';
    out += c;
  }
}

}  // namespace

std::string unescape_string_literal(std::string_view body) {
  std::string out;
  out.reserve(body.size());
  for (size_t at = 0; at < body.size();) {
    if (body[at] != '\\' || at + 1 == body.size()) {
      out += body[at++];
    } else {
      escape(out, body, ++at);
    }
  }
  return out;
}

}  // namespace chorus::jinja
