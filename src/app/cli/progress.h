#pragma once

#include <chrono>
#include <string>

#include "chorus/engine.h"

namespace chorus::cli {

/// One line on standard error, redrawn at most ten times a second, if that is a terminal; else nothing.
class ProgressLine {
 public:
  /// `rows`: in all; `done_before`: of them, finished before this run.
  ProgressLine(bool enabled, int64_t rows, int64_t done_before);
  ~ProgressLine() { clear(); }
  void draw(const ProgressEvent& now);
  /// Before anything else is written to the terminal.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  bool enabled_, drawn_ = false;
  int64_t rows_, done_before_;
  Clock::time_point begin_ = Clock::now(), last_draw_{};
};

/// "[#####.....] 12/29 rows, 9 running, 812 tok/s, 0:41 left, kv 1.2 GB"
std::string progress_text(const ProgressEvent& now, int64_t rows, int64_t done_before, double seconds);

}  // namespace chorus::cli
