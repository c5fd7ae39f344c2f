#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"
#include "chat/big_integer.h"
#include "chat/failure.h"
#include "chat/limits.h"
#include "chat/operations.h"
#include "chat/unicode.h"

namespace chorus::jinja {
namespace {

constexpr size_t max_printed_digits = 4300;  // Python's own limit

void append_items(std::string& out, const Values& items) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out += ", ";
    first = false;
    append_repr(out, item);
  }
}

void append_dict(std::string& out, const Dict& dict) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : dict.items()) {
    if (!first) out += ", ";
    first = false;
    append_repr(out, key);
    out += ": ";
    append_repr(out, value);
  }
  out += '}';
}

void append_integer(std::string& out, int64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void append_range(std::string& out, const Range& range) {
  out += "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
  if (range.step != 1) out += ", " + std::to_string(range.step);
  out += ')';
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, size_t(end - buffer));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  int exponent = 0;
  const char* digits_of_exponent = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits_of_exponent, text.data() + text.size(), exponent);
  std::string digits(1, text[0]);
  if (e > 2) digits.append(text.substr(2, e - 2));
  if (exponent < -4 || exponent >= 16) {  // as float.__repr__ decides
    out += digits[0];
    if (digits.size() > 1) out.append(".").append(digits, 1);
    char suffix[16];
    std::snprintf(suffix, sizeof suffix, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return out + suffix;
  }
  if (exponent < 0) return out + "0." + std::string(size_t(-exponent - 1), '0') + digits;
  const size_t whole = size_t(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string repr_of_string(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  char escape[12];
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.value == char32_t(quote) || c.value == '\\') {
      out += '\\';
      out += char(c.value);
    } else if (c.value == '\n') {
      out += "\\n";
    } else if (c.value == '\r') {
      out += "\\r";
    } else if (c.value == '\t') {
      out += "\\t";
    } else if (is_printable(c.value)) {
      out.append(text, at, c.size);
    } else {
      std::snprintf(escape, sizeof escape,
                    c.value < 0x100     ? "\\x%02x"
                    : c.value < 0x10000 ? "\\u%04x"
                                        : "\\U%08x",
                    unsigned(c.value));
      out += escape;
    }
    at += c.size;
  }
  return out + quote;
}

void append_text(std::string& out, const Value& value) {
  switch (value.type()) {
    case Type::string:
      out += value.text();
      return;
    case Type::undefined:
      return;
    default:
      append_repr(out, value);
  }
}

void append_repr(std::string& out, const Value& value) {
  charge(1);
  switch (value.type()) {
    case Type::missing:
      out += "missing";
      return;
    case Type::none:
      out += "None";
      return;
    case Type::boolean:
      out += value.boolean() ? "True" : "False";
      return;
    case Type::integer:
      append_integer(out, value.integer());
      return;
    case Type::real:
      out += float_text(value.real());
      return;
    case Type::undefined:
      out += "Undefined";
      return;
    case Type::big_integer: {
      const std::string digits = value.big().to_string();
      if (digits.size() > max_printed_digits)
        fail_value("Exceeds the limit (4300 digits) for integer string conversion");
      out += digits;
      return;
    }
    case Type::string:
      check_string_size(double(out.size() + value.text().size()));
      charge(int64_t(value.text().size() / 16));
      out += value.markup() ? "Markup(" + repr_of_string(value.text()) + ")" : repr_of_string(value.text());
      return;
    case Type::range:
      append_range(out, value.range());
      return;
    case Type::opaque:
      out += value.opaque().repr();
      return;
    default:
      break;
  }
  const DepthGuard guard;
  switch (value.type()) {
    case Type::list:
      out += '[';
      append_items(out, value.list().items);
      out += ']';
      return;
    case Type::tuple:
      out += '(';
      append_items(out, value.list().items);
      out += value.list().items.size() == 1 ? ",)" : ")";
      return;
    case Type::dict:
      append_dict(out, value.dict());
      return;
    default:
      out += "<Namespace ";
      append_dict(out, value.name_space().attributes);
      out += '>';
  }
}

std::string to_text(const Value& value) {
  std::string out;
  append_text(out, value);
  return out;
}

std::string repr(const Value& value) {
  std::string out;
  append_repr(out, value);
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Value escape(const Value& value) {
  if (value.is_string() && value.markup()) return value;
  return make_string(escape_html(value.is_string() ? std::string(value.text()) : to_text(value)), true);
}

}  // namespace chorus::jinja
