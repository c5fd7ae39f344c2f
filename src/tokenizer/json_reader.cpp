#include "tokenizer/json_reader.h"

#include <charconv>

#include "base/utf8.h"
#include "chorus/error.h"

namespace chorus::tokenizer {

void JsonReader::fail(std::string_view expected) const {
  std::string near(text_.substr(std::min(at_, text_.size()), 40));
  for (char& c : near)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = ' ';
  throw Error(Fault::model, at_ >= text_.size() ? "JSON ends too early" : "not the JSON that was expected")
      .with("at byte", at_)
      .with("expected", expected)
      .with("near", near);
}

char JsonReader::peek() {
  skip_space();
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonReader::end() {
  if (peek() != '\0' || at_ < text_.size()) fail("the end of the file");
}

std::string_view JsonReader::string(std::string& buffer) {
  expect('"', "a string");
  const size_t begin = at_;
  bool ascii = true;
  for (; at_ < text_.size(); ++at_) {
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') {
      const std::string_view value = text_.substr(begin, at_ - begin);
      if (!ascii && !is_utf8(value)) fail("a string of UTF-8");
      ++at_;
      return value;
    }
    if (c == '\\') return unescape(begin, buffer);
    if (c < 0x20) fail("no control character in a string");
    if (c >= 0x80) ascii = false;
  }
  fail("'\"'");
}

// The slow way, from the first escape on.
std::string_view JsonReader::unescape(size_t begin, std::string& buffer) {
  buffer.assign(text_.substr(begin, at_ - begin));
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      if (!is_utf8(buffer)) fail("a string of UTF-8");
      ++at_;
      return buffer;
    }
    if (static_cast<unsigned char>(c) < 0x20) fail("no control character in a string");
    ++at_;
    if (c != '\\') {
      buffer += c;
      continue;
    }
    const char escaped = at_ < text_.size() ? text_[at_++] : '\0';
    switch (escaped) {
      case '"':
      case '\\':
      case '/':
        buffer += escaped;
        break;
      case 'b':
        buffer += '\b';
        break;
      case 'f':
        buffer += '\f';
        break;
      case 'n':
        buffer += '\n';
        break;
      case 'r':
        buffer += '\r';
        break;
      case 't':
        buffer += '\t';
        break;
      case 'u': {
        char32_t value = hex4();
        if (value >= 0xd800 && value < 0xdc00) {
          if (text_.substr(at_, 2) != "\\u") fail("the second half of a surrogate pair");
          at_ += 2;
          const char32_t low = hex4();
          if (low < 0xdc00 || low >= 0xe000) fail("the second half of a surrogate pair");
          value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
        } else if (value >= 0xdc00 && value < 0xe000) {
          fail("no lone surrogate");
        }
        append_utf8(buffer, value);
        break;
      }
      default:
        fail("an escape that JSON has");
    }
  }
  fail("'\"'");
}

char32_t JsonReader::hex4() {
  uint32_t value = 0;
  const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || digits.size() != 4 || end != digits.data() + 4) fail("four hexadecimal digits");
  at_ += 4;
  return value;
}

int32_t JsonReader::integer(int32_t limit) {
  skip_space();
  const std::string expected = "a whole number from 0 to " + std::to_string(limit);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
  if (error != std::errc() || value < 0 || value > limit) fail(expected);
  if (end < text_.data() + text_.size() && (*end == '.' || *end == 'e' || *end == 'E')) fail(expected);
  at_ = size_t(end - text_.data());
  return int32_t(value);
}

double JsonReader::number() {
  skip_space();
  double value = 0;
  const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
  if (error != std::errc() || !(value - value == 0)) fail("a number");  // JSON has no "inf" and no "nan"
  at_ = size_t(end - text_.data());
  return value;
}

void JsonReader::skip_string() {
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '\\')
      ++at_;
    else if (text_[at_] == '"') {
      ++at_;
      return;
    }
  }
  at_ = text_.size();
  fail("'\"'");
}

std::string_view JsonReader::skip() {
  skip_space();
  const size_t begin = at_;
  size_t depth = 0;
  do {
    skip_space();
    if (at_ >= text_.size()) fail("a value");
    const char c = text_[at_];
    if (c == '"') {
      skip_string();
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at_;
    } else if (c == '}' || c == ']') {
      if (depth == 0) fail("a value");
      --depth;
      ++at_;
    } else if (depth > 0 && (c == ',' || c == ':')) {
      ++at_;
    } else {
      const size_t word = at_;
      while (at_ < text_.size() && std::string_view(",:{}[]\" \n\r\t").find(text_[at_]) == std::string_view::npos)
        ++at_;
      if (at_ == word) fail("a value");
    }
  } while (depth > 0);
  return text_.substr(begin, at_ - begin);
}

}  // namespace chorus::tokenizer
