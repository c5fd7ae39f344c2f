#include <cmath>
#include <limits>

#include "chat/big_integer.h"
#include "chat/failure.h"
#include "chat/format.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

constexpr const char* symbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void fail_operands(BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::add && (a.is_string() || a.is_sequence()))
    fail_type("can only concatenate " + type_name(a) + " (not \"" + type_name(b) + "\") to " + type_name(a));
  fail_type(std::string("unsupported operand type(s) for ") + symbols[int(op)] + ": '" + type_name(a) + "' and '" +
            type_name(b) + "'");
}

bool integral(const Value& v) {
  return v.is_integral() || v.is(Type::big_integer);
}

double floor_divide(double a, double b) {
  // As CPython computes it: exact where a/b is, and never off by one through rounding.
  const double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0 && (b < 0) != (remainder < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

double modulo(double a, double b) {
  double remainder = std::fmod(a, b);
  if (remainder == 0) return std::copysign(0.0, b);
  if ((b < 0) != (remainder < 0)) remainder += b;
  return remainder;
}

[[noreturn]] void fail_division(const char* message) {
  fail(Cause::other, message);
}

Value real_power(double a, double b) {
  if (a == 0 && b < 0) fail_division("0.0 cannot be raised to a negative power");
  if (a < 0 && b != std::floor(b)) fail_type("complex numbers are beyond chorus's templates");
  const double result = std::pow(a, b);
  if (std::isinf(result) && !std::isinf(a) && !std::isinf(b))
    fail(Cause::overflow, "(34, 'Numerical result out of range')");
  return Value(result);
}

Value real_arithmetic(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add:
      return Value(a + b);
    case BinaryOp::sub:
      return Value(a - b);
    case BinaryOp::mul:
      return Value(a * b);
    case BinaryOp::div:
      if (b == 0) fail_division("float division by zero");
      return Value(a / b);
    case BinaryOp::floordiv:
      if (b == 0) fail_division("float floor division by zero");
      return Value(floor_divide(a, b));
    case BinaryOp::mod:
      if (b == 0) fail_division("float modulo");
      return Value(modulo(a, b));
    case BinaryOp::pow:
      return real_power(a, b);
  }
  return {};
}

Value integer_power(const Value& a, const Value& b) {
  const BigInteger base = BigInteger::of(a);
  if (b.is(Type::big_integer)) {
    if (base.zero() || base == BigInteger(1)) return a;
    fail_limit("bits in an integer", 20'000);
  }
  if (b.integer() < 0) return real_power(base.to_double(), double(b.integer()));
  if (base.zero() || base == BigInteger(1)) return b.integer() == 0 ? Value(int64_t(1)) : base.to_value();
  if (base == BigInteger(-1)) return Value(int64_t(b.integer() % 2 == 0 ? 1 : -1));
  return BigInteger::power(base, b.integer()).to_value();
}

Value big_arithmetic(BinaryOp op, const Value& a, const Value& b) {
  const BigInteger x = BigInteger::of(a), y = BigInteger::of(b);
  switch (op) {
    case BinaryOp::add:
      return (x + y).to_value();
    case BinaryOp::sub:
      return (x - y).to_value();
    case BinaryOp::mul:
      return (x * y).to_value();
    case BinaryOp::floordiv:
      return BigInteger::divide(x, y).quotient.to_value();
    default:
      return BigInteger::divide(x, y).remainder.to_value();
  }
}

Value integer_arithmetic(BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::pow) return integer_power(a, b);
  const bool divides = op == BinaryOp::div || op == BinaryOp::floordiv || op == BinaryOp::mod;
  if (divides && b.is_integral() && b.integer() == 0)
    fail_division(op == BinaryOp::div ? "division by zero" : "integer division or modulo by zero");
  if (op == BinaryOp::div) return Value(to_double(a) / to_double(b));
  if (a.is_integral() && b.is_integral()) {
    const int64_t x = a.integer(), y = b.integer();
    int64_t result = 0;
    switch (op) {
      case BinaryOp::add:
        if (!__builtin_add_overflow(x, y, &result)) return Value(result);
        break;
      case BinaryOp::sub:
        if (!__builtin_sub_overflow(x, y, &result)) return Value(result);
        break;
      case BinaryOp::mul:
        if (!__builtin_mul_overflow(x, y, &result)) return Value(result);
        break;
      default:
        if (x == std::numeric_limits<int64_t>::min() && y == -1) break;
        if (op == BinaryOp::floordiv) return Value(x / y - ((x % y != 0 && (x < 0) != (y < 0)) ? 1 : 0));
        return Value(x % y + ((x % y != 0 && (x < 0) != (y < 0)) ? y : 0));
    }
  }
  return big_arithmetic(op, a, b);
}

Value repeat(const Value& sequence, const Value& count) {
  const int64_t n =
      count.is(Type::big_integer) ? std::numeric_limits<int64_t>::max() : std::max<int64_t>(count.integer(), 0);
  if (sequence.is_string()) {
    const std::string_view text = sequence.text();
    if (text.empty() || n == 0) return make_string(std::string(), sequence.markup());
    check_string_size(double(text.size()) * double(n));
    charge(n * int64_t(text.size()) / 64);
    std::string out;
    out.reserve(text.size() * size_t(n));
    for (int64_t i = 0; i < n; ++i) out += text;
    return make_string(std::move(out), sequence.markup());
  }
  const Values& items = sequence.list().items;
  Values out;
  if (!items.empty() && n > 0) {
    check_string_size(double(items.size()) * double(n) * sizeof(Value));
    charge(n * int64_t(items.size()));
    out.reserve(items.size() * size_t(n));
    for (int64_t i = 0; i < n; ++i) out.insert(out.end(), items.begin(), items.end());
  }
  return sequence.is(Type::list) ? make_list(std::move(out)) : make_tuple(std::move(out));
}

Value concatenate(const Value& a, const Value& b) {
  if (a.is_string()) {
    if (a.markup() == b.markup()) {
      std::string out;
      check_string_size(double(a.text().size()) + double(b.text().size()));
      charge(int64_t((a.text().size() + b.text().size()) / 64));
      out.reserve(a.text().size() + b.text().size());
      out.append(a.text()).append(b.text());
      return make_string(std::move(out), a.markup());
    }
    const Value left = escape(a), right = escape(b);  // Markup escapes what is added to it
    return make_string(std::string(left.text()).append(right.text()), true);
  }
  Values items = a.list().items;
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  charge(int64_t(items.size() / 4));
  return a.is(Type::list) ? make_list(std::move(items)) : make_tuple(std::move(items));
}

}  // namespace

double to_double(const Value& number) {
  if (number.is(Type::real)) return number.real();
  if (!number.is(Type::big_integer)) return double(number.integer());
  const double value = number.big().to_double();
  if (std::isinf(value)) fail(Cause::overflow, "int too large to convert to float");
  return value;
}

Value arithmetic(BinaryOp op, const Value& a, const Value& b) {
  if (a.is(Type::undefined)) fail_undefined(a);
  if (op == BinaryOp::mod && a.is_string()) return format_percent(a, b);
  if (b.is(Type::undefined)) fail_undefined(b);
  if (a.is_number() && b.is_number()) {
    if (integral(a) && integral(b)) return integer_arithmetic(op, a, b);
    return real_arithmetic(op, to_double(a), to_double(b));
  }
  if (op == BinaryOp::add && ((a.is_string() && b.is_string()) || (a.is_sequence() && a.type() == b.type())))
    return concatenate(a, b);
  if (op == BinaryOp::mul) {
    if ((a.is_string() || a.is_sequence()) && integral(b)) return repeat(a, b);
    if ((b.is_string() || b.is_sequence()) && integral(a)) return repeat(b, a);
    if (a.is_string() || a.is_sequence())
      fail_type("can't multiply sequence by non-int of type '" + type_name(b) + "'");
  }
  fail_operands(op, a, b);
}

Value add(Value a, const Value& b) {
  if (a.is_string() && b.is_string() && a.unique() && a.markup() == b.markup()) {
    a.append(b.text());
    return a;
  }
  return arithmetic(BinaryOp::add, a, b);
}

Value negate(const Value& value) {
  if (value.is(Type::undefined)) fail_undefined(value);
  if (value.is(Type::real)) return Value(-value.real());
  if (value.is_integral() && value.integer() != std::numeric_limits<int64_t>::min())
    return Value(-value.integer());
  if (integral(value)) return (-BigInteger::of(value)).to_value();
  fail_type("bad operand type for unary -: '" + type_name(value) + "'");
}

Value absolute(const Value& value) {
  if (value.is(Type::undefined)) fail_undefined(value);
  if (value.is(Type::real)) return Value(std::abs(value.real()));
  if (integral(value))
    return BigInteger::of(value).negative() ? negate(value)
           : value.is(Type::boolean)        ? Value(value.integer())
                                            : value;
  fail_type("bad operand type for abs(): '" + type_name(value) + "'");
}

}  // namespace chorus::jinja
