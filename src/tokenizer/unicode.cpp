#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>

namespace chorus::tokenizer {
namespace {

uint8_t classes_of(char32_t c) {
  uint8_t classes = is_white_space(c) ? space : 0;
  switch (utf8proc_category(utf8proc_int32_t(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return classes | upper;
    case UTF8PROC_CATEGORY_LL:
      return classes | lower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return classes | other_letter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return classes | mark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return classes | number;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return classes | punctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return classes | symbol;
    default:
      return classes;
  }
}

std::unique_ptr<const CharTable> make_table() {
  auto table = std::make_unique<CharTable>();
  std::map<std::string, uint16_t> known;
  for (size_t b = 0; b < 0x1100; ++b) {
    std::string classes(256, '\0');
    for (size_t i = 0; i < 256; ++i) classes[i] = char(classes_of(char32_t(b << 8 | i)));
    const auto [found, is_new] = known.emplace(classes, uint16_t(known.size()));
    table->block[b] = found->second;
    if (is_new) std::memcpy(table->classes + size_t(found->second) * 256, classes.data(), 256);
  }
  std::memcpy(table->ascii, table->classes + size_t(table->block[0]) * 256, 128);
  return table;
}

}  // namespace

const CharTable& char_table() {
  static const std::unique_ptr<const CharTable> table = make_table();
  return *table;
}

bool is_white_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_numeric(char32_t c) {
  return char_table().of(c) & number;
}

bool is_punctuation(char32_t c) {
  return char_table().of(c) & (c < 128 ? punctuation | symbol : punctuation);
}

bool is_mark(char32_t c) {
  return char_table().of(c) & mark;
}

bool is_nonspacing_mark(char32_t c) {
  return utf8proc_category(utf8proc_int32_t(c)) == UTF8PROC_CATEGORY_MN;
}

bool is_other(char32_t c) {
  const auto category = utf8proc_category(utf8proc_int32_t(c));
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CS || category == UTF8PROC_CATEGORY_CO;
}

bool is_word(char32_t c) {
  if (char_table().of(c) & (letter | mark)) return true;
  if (c == 0x200c || c == 0x200d) return true;                           // Join_Control
  if ((c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||  // Other_Alphabetic outside
      (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189))
    return true;  // letters and marks
  const auto category = utf8proc_category(utf8proc_int32_t(c));
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_PC;
}

}  // namespace chorus::tokenizer
