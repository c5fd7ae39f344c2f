#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace chorus::tokenizer {

/// Reads JSON in one pass without building a tree: the vocabulary and the merges of a tokenizer.json are 27 MB.
/// Small parts are cut out with skip() and given to parse_json. Errors: Fault::model with the byte and what was
/// expected.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  /// Calls on_member(key) for every member; it must read or skip the value. `key` dies with the next read.
  template <typename F>
  void object(F on_member) {
    expect('{', "an object");
    if (accept('}')) return;
    do {
      std::string buffer;
      const std::string_view key = string(buffer);
      expect(':', "':'");
      on_member(key);
    } while (accept(','));
    expect('}', "',' or '}'");
  }

  /// Calls on_element() for every element; it must read or skip it.
  template <typename F>
  void array(F on_element) {
    expect('[', "an array");
    if (accept(']')) return;
    do on_element();
    while (accept(','));
    expect(']', "',' or ']'");
  }

  /// A string; the view is into the text, or into `buffer` where there were escapes. Valid UTF-8.
  std::string_view string(std::string& buffer);
  /// An integer of 0 <= value <= limit.
  int32_t integer(int32_t limit);
  double number();
  /// The text of the next value, whose brackets and quotes are balanced and which is not checked further.
  std::string_view skip();
  /// The first character of the next value, without taking it; 0 at the end.
  char peek();
  /// Nothing but white space may be left.
  void end();

  size_t at() const { return at_; }
  [[noreturn]] void fail(std::string_view expected) const;

 private:
  void expect(char c, const char* what) {
    if (!accept(c)) fail(what);
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && static_cast<unsigned char>(text_[at_]) <= ' ' &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  void skip_string();
  std::string_view unescape(size_t begin, std::string& buffer);
  char32_t hex4();

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace chorus::tokenizer
