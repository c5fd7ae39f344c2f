#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "chat/big_integer.h"
#include "chat/callables.h"
#include "chat/failure.h"
#include "chat/filters.h"
#include "chat/format.h"
#include "chat/numbers.h"
#include "chat/operations.h"
#include "chat/unicode.h"

namespace chorus::jinja {

// ---- int("...") and float("..."); see numbers.h

namespace {

// Decimal digits of all scripts as ASCII, white space at the ends gone.
std::string ascii_digits(std::string_view text) {
  std::string out;
  text = strip(text, true, true);
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const int digit = decimal_value(c.value);
    if (digit >= 0)
      out += char('0' + digit);
    else
      out.append(text, at, c.size);
    at += c.size;
  }
  return out;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = char(c | 0x20);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

// Single underscores between digits are allowed; false where one stands elsewhere.
bool remove_underscores(std::string& text) {
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '_' &&
        (i == 0 || i + 1 == text.size() || digit_value(text[i - 1]) > 35 || digit_value(text[i + 1]) > 35))
      return false;
  text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
  return true;
}

}  // namespace

Value parse_integer(std::string_view original, int64_t base) {
  const auto invalid = [&] {
    fail_value("invalid literal for int() with base " + std::to_string(base) + ": " + repr_of_string(original));
  };
  if (base != 0 && (base < 2 || base > 36)) fail_value("int() base must be >= 2 and <= 36, or 0");
  std::string text = ascii_digits(original);
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.erase(0, 1);
  const char marker = text.size() > 1 && text[0] == '0' ? char(text[1] | 0x20) : 0;
  const int marked = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 0;
  bool has_prefix = false;
  if (marked != 0 && (base == 0 || base == marked)) {
    base = marked;
    text.erase(0, 2);
    if (!text.empty() && text[0] == '_') text.erase(0, 1);
    has_prefix = true;
  }
  if (!remove_underscores(text) || text.empty()) invalid();
  if (base == 0) {
    base = 10;
    if (!has_prefix && text.size() > 1 && text[0] == '0' && text.find_first_not_of('0') != std::string::npos)
      invalid();
  }
  for (const char c : text)
    if (digit_value(c) >= base) invalid();
  if (text.size() > 4300 && (base & (base - 1)) != 0)
    fail_value("Exceeds the limit (4300 digits) for integer string conversion");
  const BigInteger value = BigInteger::parse(text, int(base));
  return (negative ? -value : value).to_value();
}

double parse_real(std::string_view original) {
  std::string text = ascii_digits(original);
  const auto invalid = [&]() { fail_value("could not convert string to float: " + repr_of_string(original)); };
  if (!remove_underscores(text)) invalid();
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest[0] == '-';
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  if (rest.empty() || rest[0] == '-' || rest[0] == '+') invalid();
  double value = 0;
  const std::string lower = to_lower(rest);
  if (lower == "inf" || lower == "infinity" || lower == "nan") {
    value = lower == "nan" ? std::nan("") : HUGE_VAL;
  } else {
    if (rest.find_first_not_of("0123456789.eE+-") != std::string_view::npos) invalid();
    const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (result.ec == std::errc::invalid_argument || result.ptr != rest.data() + rest.size()) invalid();
    if (result.ec == std::errc::result_out_of_range) value = std::strtod(std::string(rest).c_str(), nullptr);
  }
  return negative ? -value : value;
}

Value truncate_to_integer(double value) {
  if (std::isnan(value)) fail_value("cannot convert float NaN to integer");
  if (std::isinf(value)) fail(Cause::overflow, "cannot convert float infinity to integer");
  return BigInteger::from_double(std::trunc(value)).to_value();
}

namespace {

Value to_integer(const Value& value, int64_t base) {
  if (value.is_string()) return parse_integer(value.text(), base);
  if (value.is(Type::undefined)) fail_undefined(value);
  if (value.is(Type::real)) return truncate_to_integer(value.real());
  if (value.is(Type::boolean)) return Value(value.integer());
  if (value.is_number()) return value;
  fail_type("int() argument must be a string, a bytes-like object or a real number, not '" + type_name(value) +
            "'");
}

double to_real(const Value& value) {
  if (value.is_string()) return parse_real(value.text());
  if (value.is(Type::undefined)) fail_undefined(value);
  if (value.is_number()) return to_double(value);
  fail_type("float() argument must be a string or a real number, not '" + type_name(value) + "'");
}

Value filter_int(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("int", arguments, {"default", "base"});
  try {
    return to_integer(input, a.integer(1, 10));
  } catch (const Failure& failure) {
    if (failure.cause != Cause::type && failure.cause != Cause::value) throw;
  }
  try {
    return truncate_to_integer(to_real(input));
  } catch (const Failure& failure) {
    if (failure.cause != Cause::type && failure.cause != Cause::value && failure.cause != Cause::overflow) throw;
  }
  return a.given(0) ? a[0] : Value(int64_t(0));
}

Value filter_float(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("float", arguments, {"default"});
  try {
    return Value(to_real(input));
  } catch (const Failure& failure) {
    if (failure.cause != Cause::type && failure.cause != Cause::value) throw;
  }
  return a.given(0) ? a[0] : Value(0.0);
}

Value filter_abs(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("abs", arguments, {});
  return absolute(input);
}

// round(float, digits): the decimal number nearest to the binary one, ties to even, as CPython's round.
double round_real(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 323) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits >= 0) return std::strtod(format_float(value, 'f', int(digits)).c_str(), nullptr);
  const double unit = std::pow(10.0, double(-digits));
  return std::nearbyint(value / unit) * unit;
}

Value round_integer(const Value& value, int64_t digits) {
  if (digits >= 0) return value.is(Type::boolean) ? Value(value.integer()) : value;
  if (digits < -5000) return Value(int64_t(0));
  const BigInteger unit = BigInteger::power(BigInteger(10), -digits), n = BigInteger::of(value);
  const auto [quotient, remainder] = BigInteger::divide(n, unit);
  const auto half = remainder + remainder <=> unit;
  const bool odd = !BigInteger::divide(quotient, BigInteger(2)).remainder.zero();
  const bool up = half > 0 || (half == 0 && odd);
  return ((up ? quotient + BigInteger(1) : quotient) * unit).to_value();
}

Value filter_round(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("round", arguments, {"precision", "method"});
  const std::string method = a.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    fail(Cause::other, "method must be common, ceil or floor");
  if (input.is(Type::undefined)) fail_undefined(input);
  if (!input.is_number()) fail_type("type " + type_name(input) + " doesn't define __round__ method");
  const int64_t digits = a.integer(0, 0);
  if (method == "common")
    return input.is(Type::real) ? Value(round_real(input.real(), digits)) : round_integer(input, digits);
  const Value scale = arithmetic(BinaryOp::pow, Value(int64_t(10)), Value(digits));
  const double scaled = to_double(arithmetic(BinaryOp::mul, input, scale));
  const Value whole = truncate_to_integer(method == "ceil" ? std::ceil(scaled) : std::floor(scaled));
  return arithmetic(BinaryOp::div, whole, scale);
}

Value filesizeformat(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("filesizeformat", arguments, {"binary"});
  const bool binary = a.flag(0, false);
  const double bytes = to_real(input), base = binary ? 1024 : 1000;
  if (bytes == 1) return make_string("1 Byte");
  if (bytes < base) return make_string(to_text(truncate_to_integer(bytes)) + " Bytes");
  static constexpr std::string_view prefixes = "kMGTPEZY";
  double unit = base;
  size_t i = 0;
  for (; i < prefixes.size(); ++i) {
    unit *= base;
    if (bytes < unit || i + 1 == prefixes.size()) break;
  }
  const char prefix = binary && i == 0 ? 'K' : prefixes[i];
  return make_string(format_float(base * bytes / unit, 'f', 1) + " " + prefix + (binary ? "iB" : "B"));
}

constexpr Filter filters[] = {
    {"abs", filter_abs},     {"filesizeformat", filesizeformat}, {"float", filter_float}, {"int", filter_int},
    {"round", filter_round},
};

}  // namespace

std::span<const Filter> number_filters() {
  return filters;
}

}  // namespace chorus::jinja
