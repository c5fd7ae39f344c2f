// The pre-tokenizer regexes that most models share, as scanners: 20 times PCRE2's speed. Each comment gives the
// alternative of the regex that the lines below it decide; tests/tokenizer/scanner_test.cpp compares each scanner
// with PCRE2 on random text.
#include <cstring>

#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

namespace chorus::tokenizer {

const char* const gpt2_regex = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

constexpr const char* cl100k_regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* qwen2_regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* o200k_regex =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

bool is_newline(char c) {
  return c == '\r' || c == '\n';
}

/// A text with the questions that all scanners ask.
class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text), table_(char_table()) {}

  size_t size() const { return text_.size(); }
  char byte(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  /// Classes of the character at `at`, and its size; `at` < size().
  uint8_t classes(size_t at, size_t& bytes) const {
    const auto c = static_cast<unsigned char>(text_[at]);
    if (c < 0x80) {
      bytes = 1;
      return table_.ascii[c];
    }
    const Char wide = char_at(text_, at);
    bytes = wide.size;
    return table_.of(wide.value);
  }

  /// The end of the run of characters that are in one of `wanted`.
  size_t run_of(uint8_t wanted, size_t at) const {
    for (size_t bytes; at < size() && (classes(at, bytes) & wanted); at += bytes) {
    }
    return at;
  }

  /// The end of the run of characters that are in none of `unwanted`.
  size_t run_without(uint8_t unwanted, size_t at) const {
    for (size_t bytes; at < size() && !(classes(at, bytes) & unwanted); at += bytes) {
    }
    return at;
  }

  /// At most `most` numbers.
  size_t numbers(size_t at, int most) const {
    for (size_t bytes; most > 0 && at < size() && (classes(at, bytes) & number); at += bytes) --most;
    return at;
  }

  /// 's|'t|'re|'ve|'m|'ll|'d at `at`: its end, or `at`. Ignoring case, U+017F is an s too.
  size_t contraction(size_t at, bool ignore_case) const {
    if (byte(at) != '\'') return at;
    const auto is = [&](size_t i, char wanted) {
      const char c = byte(i);
      return c == wanted || (ignore_case && c == wanted - 32);
    };
    if (is(at + 1, 's') || is(at + 1, 't') || is(at + 1, 'm') || is(at + 1, 'd')) return at + 2;
    if ((is(at + 1, 'r') || is(at + 1, 'v')) && is(at + 2, 'e')) return at + 3;
    if (is(at + 1, 'l') && is(at + 2, 'l')) return at + 3;
    if (ignore_case && byte(at + 1) == '\xc5' && byte(at + 2) == '\xbf') return at + 3;
    return at;
  }

  /// \s*[\r\n]+ (where `newlines_first`), then \s+(?!\S), then \s+, at white space.
  size_t white_space(size_t at, bool newlines_first) const {
    size_t end = at, last = at, after_newline = at, bytes = 0;
    while (end < size() && (classes(end, bytes) & space)) {
      last = end;
      end += bytes;
      if (is_newline(text_[last])) after_newline = end;
    }
    if (newlines_first && after_newline > at) return after_newline;
    return end == size() || last == at ? end : last;  // before more text, the last one stays with the next word
  }

 private:
  std::string_view text_;
  const CharTable& table_;
};

struct Gpt2 {
  static size_t next(const Scan& scan, size_t at) {
    const size_t contraction = scan.contraction(at, false);
    if (contraction > at) return contraction;
    const size_t word = at + (scan.byte(at) == ' ' && at + 1 < scan.size());
    size_t bytes;
    const uint8_t first = scan.classes(word, bytes);
    if (first & letter) return scan.run_of(letter, word);                          //  ?\p{L}+
    if (first & number) return scan.run_of(number, word);                          //  ?\p{N}+
    if (!(first & space)) return scan.run_without(space | letter | number, word);  //  ?[^\s\p{L}\p{N}]+
    return scan.white_space(at, false);
  }
};

template <int digits>
struct Cl100k {
  static size_t next(const Scan& scan, size_t at) {
    const size_t contraction = scan.contraction(at, true);
    if (contraction > at) return contraction;
    size_t bytes;
    const uint8_t first = scan.classes(at, bytes);
    if (first & letter) return scan.run_of(letter, at);  // \p{L}+ of [^\r\n\p{L}\p{N}]?\p{L}+
    if (first & number) return scan.numbers(at, digits);
    size_t after;
    if (!is_newline(scan.byte(at)) && at + bytes < scan.size() && (scan.classes(at + bytes, after) & letter))
      return scan.run_of(letter, at + bytes);            // the same behind another character
    const size_t symbols = at + (scan.byte(at) == ' ');  //  ?[^\s\p{L}\p{N}]+[\r\n]*
    size_t end = scan.run_without(space | letter | number, symbols);
    if (end > symbols) {
      while (is_newline(scan.byte(end))) ++end;
      return end;
    }
    return scan.white_space(at, true);
  }
};

struct O200k {
  static constexpr uint8_t head = upper | other_letter | mark;  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  static constexpr uint8_t tail = lower | other_letter | mark;  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]

  // The words of both first alternatives, begun at `at` (behind the optional character).
  struct Word {
    size_t first;   // end of head* tail+, `at` where there is none
    size_t second;  // end of head+ tail*, likewise
  };
  static Word word(const Scan& scan, size_t at) {
    size_t end = at, after_last_tail = at, bytes;
    uint8_t classes = 0;
    for (; end < scan.size() && ((classes = scan.classes(end, bytes)) & head); end += bytes)
      if (classes & tail) after_last_tail = end + bytes;
    if (end < scan.size() && (classes & lower)) return {scan.run_of(tail, end), 0};
    return {after_last_tail, end};  // head* gives back until tail+ has its one character
  }

  static size_t next(const Scan& scan, size_t at) {
    size_t bytes;
    const uint8_t first = scan.classes(at, bytes);
    if (!(first & number)) {
      const bool has_prefix = !(first & letter) && !is_newline(scan.byte(at));  // [^\r\n\p{L}\p{N}]
      const Word behind = has_prefix && at + bytes < scan.size() ? word(scan, at + bytes) : Word{0, 0};
      if (behind.first > at + bytes) return scan.contraction(behind.first, true);
      const Word bare = first & (letter | mark) ? word(scan, at) : Word{0, 0};
      if (bare.first > at) return scan.contraction(bare.first, true);
      if (behind.second > at + bytes) return scan.contraction(behind.second, true);
      if (bare.second > at) return scan.contraction(bare.second, true);
    } else {
      return scan.numbers(at, 3);
    }
    const size_t symbols = at + (scan.byte(at) == ' ');  //  ?[^\s\p{L}\p{N}]+[\r\n/]*
    size_t end = scan.run_without(space | letter | number, symbols);
    if (end > symbols) {
      while (is_newline(scan.byte(end)) || scan.byte(end) == '/') ++end;
      return end;
    }
    return scan.white_space(at, true);
  }
};

template <typename Regex>
class ScannerPattern : public Pattern {
 public:
  void find(std::string_view text, std::vector<Match>& matches) const override {
    const Scan scan(text);
    for (size_t at = 0; at < text.size();) {
      const size_t end = Regex::next(scan, at);
      matches.push_back({at, end});
      at = end;
    }
  }
};

}  // namespace

std::unique_ptr<Pattern> scanner_for(const std::string& regex) {
  if (regex == o200k_regex) return std::make_unique<ScannerPattern<O200k>>();
  if (regex == cl100k_regex) return std::make_unique<ScannerPattern<Cl100k<3>>>();
  if (regex == qwen2_regex) return std::make_unique<ScannerPattern<Cl100k<1>>>();
  if (regex == gpt2_regex) return std::make_unique<ScannerPattern<Gpt2>>();
  return nullptr;
}

}  // namespace chorus::tokenizer
