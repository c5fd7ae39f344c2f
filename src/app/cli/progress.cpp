#include "app/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "app/cli/console.h"

namespace chorus::cli {
namespace {

constexpr int bar_width = 24;

std::string duration_text(double seconds) {
  const auto s = int64_t(seconds + 0.5);
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                  : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace

ProgressLine::ProgressLine(bool enabled, int64_t rows, int64_t done_before)
    : enabled_(enabled && is_terminal(STDERR_FILENO)), rows_(rows), done_before_(done_before) {}

std::string progress_text(const ProgressEvent& now, int64_t rows, int64_t done_before, double seconds) {
  const int64_t done = done_before + now.rows_done;
  const auto filled = size_t(rows > 0 ? done * bar_width / rows : 0);
  std::string line = fmt::format("[{}{}] {}/{} rows, {} running, {:.0f} tok/s", std::string(filled, '#'),
                                 std::string(bar_width - filled, '.'), done, rows, now.rows_running,
                                 seconds > 0 ? double(now.generated_tokens) / seconds : 0.0);
  // Rows differ in length: before a few are done, a guess would mislead.
  if (now.rows_done >= std::min<int64_t>(3, rows - done_before) && now.rows_done > 0)
    line += fmt::format(", {} left", duration_text(seconds / double(now.rows_done) * double(rows - done)));
  return line + fmt::format(", kv {}", bytes_text(double(now.kv_bytes)));
}

void ProgressLine::draw(const ProgressEvent& now) {
  if (!enabled_) return;
  const Clock::time_point time = Clock::now();
  if (time - last_draw_ < std::chrono::milliseconds(100)) return;
  last_draw_ = time;
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(time - begin_).count();
  std::fprintf(stderr, "\r%s\x1b[K", progress_text(now, rows_, done_before_, seconds).c_str());
  std::fflush(stderr);
}

void ProgressLine::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace chorus::cli
