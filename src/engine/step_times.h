#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace chorus::engine {

/// Times between two tokens of a row, counted in bins of 2 %: percentiles without keeping every time.
class StepTimes {
 public:
  void add(double seconds, int64_t count) {
    const double bin = std::log(std::fmax(seconds, shortest) / shortest) / std::log(growth);
    counts_[size_t(std::fmin(bin, double(counts_.size() - 1)))] += count;
    total_ += count;
  }
  /// The time that this share of all stays under; 0 if there are none.
  double percentile(double share) const {
    int64_t seen = 0;
    for (size_t bin = 0; bin < counts_.size(); ++bin)
      if ((seen += counts_[bin]) > 0 && double(seen) >= share * double(total_))
        return shortest * std::pow(growth, double(bin) + 0.5);
    return 0;
  }

 private:
  static constexpr double shortest = 1e-6, growth = 1.02;
  std::array<int64_t, 1024> counts_{};  // up to 600 s
  int64_t total_ = 0;
};

}  // namespace chorus::engine
