#include "sampler/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "chorus/error.h"

namespace chorus::sampler {

StopMatcher::StopMatcher(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty()) throw Error(Fault::usage, "a stop string is empty");
    std::vector<size_t> fallback(text.size());
    for (size_t i = 1, n = 0; i < text.size(); ++i) {
      while (n > 0 && text[i] != text[n]) n = fallback[n - 1];
      if (text[i] == text[n]) ++n;
      fallback[i] = n;
    }
    stops_.push_back({.text = std::move(text), .fallback = std::move(fallback), .matched = 0});
  }
}

StopMatcher::Step StopMatcher::add(std::string_view piece) {
  Step step;
  if (ended_) return step;
  if (stops_.empty()) {
    step.text = piece;
    return step;
  }
  for (const char c : piece) {
    held_ += c;
    for (size_t s = 0; s < stops_.size(); ++s) {
      Stop& stop = stops_[s];
      while (stop.matched > 0 && stop.text[stop.matched] != c) stop.matched = stop.fallback[stop.matched - 1];
      if (stop.text[stop.matched] == c) ++stop.matched;
      if (stop.matched == stop.text.size() &&
          (step.matched < 0 || stop.text.size() > stops_[size_t(step.matched)].text.size()))
        step.matched = int(s);
    }
    if (step.matched < 0) continue;
    held_.resize(held_.size() - stops_[size_t(step.matched)].text.size());
    step.text = std::exchange(held_, {});
    ended_ = true;
    return step;
  }
  size_t open = 0;
  for (const Stop& stop : stops_) open = std::max(open, stop.matched);
  step.text = held_.substr(0, held_.size() - open);
  held_.erase(0, held_.size() - open);
  return step;
}

std::string StopMatcher::finish() { return ended_ ? std::string() : std::exchange(held_, {}); }

}  // namespace chorus::sampler
