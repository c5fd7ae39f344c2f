#include "sampler/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

#include "chorus/error.h"

namespace chorus::sampler {
namespace {

struct Outcome {
  std::string text;
  int matched = -1;
  bool operator==(const Outcome&) const = default;
};

/// What the first complete stop string leaves, the slow way.
Outcome naive(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    int best = -1;
    for (size_t s = 0; s < stops.size(); ++s)
      if (std::string_view(text).substr(0, end).ends_with(stops[s]) &&
          (best < 0 || stops[s].size() > stops[size_t(best)].size()))
        best = int(s);
    if (best >= 0) return {text.substr(0, end - stops[size_t(best)].size()), best};
  }
  return {text, -1};
}

TEST(StopMatcher, EqualsANaiveSearchHoweverTheTextIsCut) {
  std::mt19937 random(1);
  const auto word = [&](size_t most) {
    std::string text;
    for (size_t n = 1 + random() % most; n > 0; --n) text += char('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops;
    for (size_t n = random() % 4; n > 0; --n) stops.push_back(word(5));
    const std::string text = word(40);
    StopMatcher matcher(stops);
    Outcome got;
    for (size_t at = 0; at < text.size() && got.matched < 0;) {
      const size_t n = 1 + random() % 4;
      const StopMatcher::Step step = matcher.add(std::string_view(text).substr(at, n));
      got.text += step.text;
      got.matched = step.matched;
      at += n;
      const Outcome whole = naive(text, stops);
      ASSERT_TRUE(whole.text.starts_with(got.text)) << "let through a part of the stop string: " << got.text;
    }
    got.text += matcher.finish();
    ASSERT_EQ(got, naive(text, stops)) << text;
  }
}

TEST(StopMatcher, RefusesAnEmptyStop) { EXPECT_THROW(StopMatcher({"a", ""}), Error); }

}  // namespace
}  // namespace chorus::sampler
