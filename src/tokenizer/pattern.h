#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/config_node.h"

namespace chorus::tokenizer {

struct Match {
  size_t begin, end;  // bytes
};

/// Finds its matches in a text, from left to right, without overlap. Immutable, used from many threads.
class Pattern {
 public:
  virtual ~Pattern() = default;
  /// Appends all matches; the text is valid UTF-8.
  virtual void find(std::string_view text, std::vector<Match>& matches) const = 0;
};

/// A literal string; the empty one matches nowhere.
std::unique_ptr<Pattern> literal_pattern(std::string text);
/// Every character that the predicate accepts, one match each.
std::unique_ptr<Pattern> character_pattern(bool (*predicate)(char32_t));
/// Runs of word characters, and runs of what is neither word nor white space.
std::unique_ptr<Pattern> word_pattern();
/// A regular expression in the dialect of tokenizer.json (Oniguruma): a scanner of our own where it is one of the
/// well-known ones, otherwise PCRE2. `where` is named by errors.
std::unique_ptr<Pattern> regex_pattern(const std::string& regex, const ConfigNode& where);
/// PCRE2 always (the tests compare the scanners with it).
std::unique_ptr<Pattern> pcre2_pattern(const std::string& regex, const ConfigNode& where);
/// The scanner for this regex, null where there is none.
std::unique_ptr<Pattern> scanner_for(const std::string& regex);
/// `{"String": ...}` or `{"Regex": ...}` at `node.key`.
std::unique_ptr<Pattern> pattern_of(const ConfigNode& node, std::string_view key);

/// GPT-2's regex, which ByteLevel has built in.
extern const char* const gpt2_regex;

}  // namespace chorus::tokenizer
