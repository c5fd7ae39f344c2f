#include "chat/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "base/utf8.h"

namespace chorus::jinja {
namespace {

struct CodePointRange {
  char32_t first, last;
};
struct SpecialCasing {
  char32_t from;
  std::string_view to;
};
struct NamedCharacter {
  std::string_view name;
  char32_t value;
};

#include "chat/unicode_tables.inc"

template <size_t n>
bool contains(const CodePointRange (&ranges)[n], char32_t c) {
  const auto* after = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                       [](char32_t value, const CodePointRange& r) { return value < r.first; });
  return after != std::begin(ranges) && c <= std::prev(after)->last;
}

template <size_t n>
bool append_special(std::string& out, const SpecialCasing (&table)[n], char32_t c) {
  if (c < 0x80) return false;
  const auto* found = std::lower_bound(std::begin(table), std::end(table), c,
                                       [](const SpecialCasing& s, char32_t value) { return s.from < value; });
  if (found == std::end(table) || found->from != c) return false;
  out += found->to;
  return true;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(utf8proc_int32_t(c));
}

bool is_cased(char32_t c) {
  return is_lower(c) || is_upper(c) || is_title(c);
}

bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == '\'' || c == '.' || c == ':' || c == 0xb7 || c == 0x387 || c == 0x2018 || c == 0x2019 ||
             c == 0x2024 || c == 0x2027;
  }
}

constexpr char32_t capital_sigma = 0x3a3, small_sigma = 0x3c3, final_sigma = 0x3c2;

// A capital sigma that ends a word becomes the final form.
bool ends_word(std::string_view text, size_t at, size_t size) {
  size_t i = at;
  char32_t before = 0;
  while (i > 0) {
    do --i;
    while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80);
    before = decode_utf8(text, i).value;
    if (!is_case_ignorable(before)) break;
    before = 0;
  }
  if (before == 0 || !is_cased(before)) return false;
  for (i = at + size; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (!is_case_ignorable(c.value)) return !is_cased(c.value);
    i += c.size;
  }
  return true;
}

void append_upper(std::string& out, char32_t c) {
  if (!append_special(out, special_upper, c)) append_utf8(out, char32_t(utf8proc_toupper(utf8proc_int32_t(c))));
}
void append_title(std::string& out, char32_t c) {
  if (!append_special(out, special_title, c)) append_utf8(out, char32_t(utf8proc_totitle(utf8proc_int32_t(c))));
}
void append_lower(std::string& out, std::string_view text, size_t at, const CodePoint& c) {
  if (c.value == capital_sigma)
    append_utf8(out, ends_word(text, at, c.size) ? final_sigma : small_sigma);
  else if (!append_special(out, special_lower, c.value))
    append_utf8(out, char32_t(utf8proc_tolower(utf8proc_int32_t(c.value))));
}

template <typename Append>
std::string map_characters(std::string_view text, Append append) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    append(out, at, c);
    at += c.size;
  }
  return out;
}

}  // namespace

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
         c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_alpha(char32_t c) {
  if (c < 0x80) return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
  const utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return category(c) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t c) {
  return is_decimal(c) || contains(digits_not_decimal, c);
}
bool is_numeric(char32_t c) {
  return is_digit(c) || contains(numeric_not_digit, c);
}
bool is_lower(char32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z';
  return category(c) == UTF8PROC_CATEGORY_LL || contains(lower_not_ll, c);
}
bool is_upper(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z';
  return category(c) == UTF8PROC_CATEGORY_LU || contains(upper_not_lu, c);
}
bool is_title(char32_t c) {
  return c >= 0x80 && category(c) == UTF8PROC_CATEGORY_LT;
}

bool is_printable(char32_t c) {
  if (c < 0x7f) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_word(char32_t c) {
  if (c < 0x80) return c == '_' || is_alpha(c) || is_decimal(c);
  return is_alnum(c);
}

int decimal_value(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9' ? int(c - '0') : -1;
  if (!is_decimal(c)) return -1;
  // Decimal digits come in runs of ten that begin with zero; runs that touch begin at multiples of ten of each
  // other.
  char32_t first = c;
  while (is_decimal(first - 1)) --first;
  return int((c - first) % 10);
}

bool is_identifier(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const bool begins = c.value == '_' || is_alpha(c.value) || category(c.value) == UTF8PROC_CATEGORY_NL;
    if (!begins && (at == 0 || !is_decimal(c.value))) return false;
    at += c.size;
  }
  return !text.empty();
}

std::string to_upper(std::string_view text) {
  return map_characters(text, [](std::string& out, size_t, const CodePoint& c) { append_upper(out, c.value); });
}

std::string to_lower(std::string_view text) {
  return map_characters(text,
                        [&](std::string& out, size_t at, const CodePoint& c) { append_lower(out, text, at, c); });
}

std::string to_title(std::string_view text) {
  bool in_word = false;
  return map_characters(text, [&](std::string& out, size_t at, const CodePoint& c) {
    if (in_word)
      append_lower(out, text, at, c);
    else
      append_title(out, c.value);
    in_word = is_cased(c.value);
  });
}

std::string capitalize(std::string_view text) {
  return map_characters(text, [&](std::string& out, size_t at, const CodePoint& c) {
    if (at > 0)
      append_lower(out, text, at, c);
    else
      append_title(out, c.value);
  });
}

std::string swap_case(std::string_view text) {
  return map_characters(text, [&](std::string& out, size_t at, const CodePoint& c) {
    if (is_upper(c.value))
      append_lower(out, text, at, c);
    else if (is_lower(c.value))
      append_upper(out, c.value);
    else
      append_utf8(out, c.value);
  });
}

std::string case_fold(std::string_view text) {
  utf8proc_uint8_t* folded = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             utf8proc_ssize_t(text.size()), &folded, UTF8PROC_CASEFOLD);
  if (size < 0) return std::string(text);
  std::string out(reinterpret_cast<const char*>(folded), size_t(size));
  std::free(folded);
  return out;
}

std::string_view strip(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    const CodePoint c = decode_utf8(text, 0);
    if (!is_space(c.value)) break;
    text.remove_prefix(c.size);
  }
  while (right && !text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
    if (!is_space(decode_utf8(text, last).value)) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

char32_t character_named(std::string_view name) {
  std::string upper(name);
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = char(c - 0x20);
  const auto* found =
      std::lower_bound(std::begin(named_characters), std::end(named_characters), upper,
                       [](const NamedCharacter& n, const std::string& key) { return n.name < key; });
  return found != std::end(named_characters) && found->name == upper ? found->value : 0;
}

}  // namespace chorus::jinja
