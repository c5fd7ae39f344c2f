#include "tokenizer/pattern.h"

#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

class LiteralPattern : public Pattern {
 public:
  explicit LiteralPattern(std::string literal) : literal_(std::move(literal)) {}
  void find(std::string_view text, std::vector<Match>& matches) const override {
    if (literal_.empty()) return;
    for (size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos; at += literal_.size())
      matches.push_back({at, at + literal_.size()});
  }

 private:
  std::string literal_;
};

class CharacterPattern : public Pattern {
 public:
  explicit CharacterPattern(bool (*predicate)(char32_t)) : predicate_(predicate) {}
  void find(std::string_view text, std::vector<Match>& matches) const override {
    for (size_t at = 0; at < text.size();) {
      const Char c = char_at(text, at);
      if (predicate_(c.value)) matches.push_back({at, at + c.size});
      at += c.size;
    }
  }

 private:
  bool (*predicate_)(char32_t);
};

// \w+|[^\w\s]+ with the classes of UTS 18.
class WordPattern : public Pattern {
 public:
  void find(std::string_view text, std::vector<Match>& matches) const override {
    enum { blank, word, other } before = blank;
    for (size_t at = 0; at < text.size();) {
      const Char c = char_at(text, at);
      const auto kind = is_word(c.value) ? word : is_white_space(c.value) ? blank : other;
      if (kind != blank && kind == before)
        matches.back().end += c.size;
      else if (kind != blank)
        matches.push_back({at, at + c.size});
      before = kind;
      at += c.size;
    }
  }
};

}  // namespace

std::unique_ptr<Pattern> word_pattern() {
  return std::make_unique<WordPattern>();
}

std::unique_ptr<Pattern> literal_pattern(std::string text) {
  return std::make_unique<LiteralPattern>(std::move(text));
}

std::unique_ptr<Pattern> character_pattern(bool (*predicate)(char32_t)) {
  return std::make_unique<CharacterPattern>(predicate);
}

std::unique_ptr<Pattern> regex_pattern(const std::string& regex, const ConfigNode& where) {
  if (auto scanner = scanner_for(regex)) return scanner;
  return pcre2_pattern(regex, where);
}

std::unique_ptr<Pattern> pattern_of(const ConfigNode& node, std::string_view key) {
  const ConfigNode pattern = node.child(key);
  if (pattern.value().is_string()) return literal_pattern(pattern.value().get<std::string>());
  if (pattern.has("String")) return literal_pattern(pattern.string("String"));
  if (pattern.has("Regex")) return regex_pattern(pattern.string("Regex"), pattern);
  throw pattern.invalid(R"({"String": ...} or {"Regex": ...})");
}

}  // namespace chorus::tokenizer
