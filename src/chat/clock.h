#pragma once

#include <string>
#include <string_view>

namespace chorus::jinja {

/// A moment as strftime prints it.
struct LocalTime {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;
  int microsecond = 0;

  static LocalTime now();
  /// "YYYY-MM-DD" or "YYYY-MM-DD HH:MM:SS"; throws Fault::usage for anything else.
  static LocalTime parse(std::string_view text);
};

/// Python's datetime.strftime (in the C locale), with glibc's flags "-", "_", "0", "^" and "#".
std::string format_time(const LocalTime& time, std::string_view format);

}  // namespace chorus::jinja
