#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chorus::sampler {

/// Finds stop strings in text that comes in pieces. What it lets through never holds any part of the stop string that
/// ends the text: what could still become one is held back. Linear in the text. (Knuth, Morris, Pratt 1977)
class StopMatcher {
 public:
  /// Throws Fault::usage for an empty stop string.
  explicit StopMatcher(std::vector<std::string> stops);

  struct Step {
    std::string text;   ///< what can be shown now
    int matched = -1;   ///< the stop string that ended the text: the one complete first; of several, the longest
  };
  /// After a match nothing more is let through.
  Step add(std::string_view piece);
  /// What was held back, at the end of a text that no stop string ended.
  std::string finish();

 private:
  struct Stop {
    std::string text;
    std::vector<size_t> fallback;  ///< [n] length of the longest border of the first n + 1 characters
    size_t matched = 0;            ///< characters of it that the text ends in
  };

  std::vector<Stop> stops_;
  std::string held_;
  bool ended_ = false;
};

}  // namespace chorus::sampler
