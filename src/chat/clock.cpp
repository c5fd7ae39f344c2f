#include "chat/clock.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "chat/failure.h"
#include "chorus/error.h"

namespace chorus::jinja {
namespace {

bool leap(int year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_in(int year, int month) {
  constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && leap(year) ? 29 : days[month - 1];
}

std::tm to_tm(const LocalTime& t) {
  std::tm tm{};
  tm.tm_year = t.year - 1900;
  tm.tm_mon = t.month - 1;
  tm.tm_mday = t.day;
  tm.tm_hour = t.hour;
  tm.tm_min = t.minute;
  tm.tm_sec = t.second;
  tm.tm_yday = t.day - 1;
  for (int m = 1; m < t.month; ++m) tm.tm_yday += days_in(t.year, m);
  const std::chrono::sys_days date = std::chrono::year_month_day(
      std::chrono::year(t.year), std::chrono::month(unsigned(t.month)), std::chrono::day(unsigned(t.day)));
  tm.tm_wday = int(std::chrono::weekday(date).c_encoding());
  tm.tm_isdst = -1;
  return tm;
}

bool read_number(std::string_view text, size_t at, size_t digits, int& out) {
  if (at + digits > text.size()) return false;
  const char* begin = text.data() + at;
  const auto result = std::from_chars(begin, begin + digits, out);
  return result.ec == std::errc() && result.ptr == begin + digits && *begin != '-';
}

// The directives that templates really use, without the C library's detour; false where it has others.
bool format_common(const LocalTime& t, std::string_view format, std::string& out) {
  static constexpr const char* months[] = {"January", "February", "March",     "April",   "May",      "June",
                                           "July",    "August",   "September", "October", "November", "December"};
  const auto two_digits = [&](int n) {
    out += char('0' + n / 10);
    out += char('0' + n % 10);
  };
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    switch (++i < format.size() ? format[i] : 0) {
      case 'Y':
        if (t.year < 1000) return false;  // which the C library pads, or not
        two_digits(t.year / 100);
        two_digits(t.year % 100);
        break;
      case 'm':
        two_digits(t.month);
        break;
      case 'd':
        two_digits(t.day);
        break;
      case 'H':
        two_digits(t.hour);
        break;
      case 'M':
        two_digits(t.minute);
        break;
      case 'S':
        two_digits(t.second);
        break;
      case 'B':
        out += months[t.month - 1];
        break;
      case 'b':
        out.append(months[t.month - 1], 3);
        break;
      case '%':
        out += '%';
        break;
      default:
        return false;
    }
  }
  return true;
}

}  // namespace

LocalTime LocalTime::now() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm tm{};
  localtime_r(&seconds, &tm);
  const auto fraction = now.time_since_epoch() % std::chrono::seconds(1);
  return {tm.tm_year + 1900,
          tm.tm_mon + 1,
          tm.tm_mday,
          tm.tm_hour,
          tm.tm_min,
          tm.tm_sec,
          int(std::chrono::duration_cast<std::chrono::microseconds>(fraction).count())};
}

LocalTime LocalTime::parse(std::string_view text) {
  LocalTime t;
  bool valid = (text.size() == 10 || text.size() == 19) && read_number(text, 0, 4, t.year) && text[4] == '-' &&
               read_number(text, 5, 2, t.month) && text[7] == '-' && read_number(text, 8, 2, t.day);
  if (valid && text.size() == 19)
    valid = (text[10] == ' ' || text[10] == 'T') && text[13] == ':' && text[16] == ':' &&
            read_number(text, 11, 2, t.hour) && read_number(text, 14, 2, t.minute) &&
            read_number(text, 17, 2, t.second);
  valid = valid && t.year >= 1 && t.month >= 1 && t.month <= 12 && t.day >= 1 &&
          t.day <= days_in(t.year, t.month) && t.hour < 24 && t.minute < 60 && t.second < 60;
  if (!valid)
    throw Error(Fault::usage, "not a date")
        .with("expected", "YYYY-MM-DD or YYYY-MM-DD HH:MM:SS")
        .with("actual", text);
  return t;
}

std::string format_time(const LocalTime& time, std::string_view format) {
  std::string common;
  if (format_common(time, format, common)) return common;
  // Python replaces %f itself, and %z and %Z by nothing for a time without a zone; the rest is the C library's.
  std::string prepared;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      prepared += format[i];
      continue;
    }
    const char c = format[++i];
    if (c == 'f') {
      char digits[16];
      std::snprintf(digits, sizeof digits, "%06d", time.microsecond);
      prepared += digits;
    } else if (c != 'z' && c != 'Z') {
      prepared += '%';
      prepared += c;
    }
  }
  if (prepared.empty()) return {};
  prepared += ' ';  // so that an empty result differs from a buffer that is too small
  const std::tm tm = to_tm(time);
  std::string out(prepared.size() * 4 + 128, '\0');
  for (int i = 0; i < 8; ++i) {
    const size_t n = std::strftime(out.data(), out.size(), prepared.c_str(), &tm);
    if (n > 0) {
      out.resize(n - 1);
      return out;
    }
    out.resize(out.size() * 4);
  }
  fail_value("the time format gives too long a text");
}

}  // namespace chorus::jinja
