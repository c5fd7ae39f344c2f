#include "chat/big_integer.h"

#include <algorithm>
#include <cmath>

#include "chat/failure.h"
#include "chat/limits.h"

namespace chorus::jinja {
namespace {

using Limbs = std::vector<uint32_t>;
constexpr size_t max_limbs = 20'000 / 32;

class BigObject : public Object {
 public:
  explicit BigObject(BigInteger v) : Object(Type::big_integer), value(std::move(v)) {}
  const BigInteger value;
};

Limbs add(const Limbs& a, const Limbs& b) {
  Limbs sum(std::max(a.size(), b.size()) + 1);
  uint64_t carry = 0;
  for (size_t i = 0; i < sum.size(); ++i) {
    carry += (i < a.size() ? a[i] : 0ull) + (i < b.size() ? b[i] : 0ull);
    sum[i] = uint32_t(carry);
    carry >>= 32;
  }
  return sum;
}

Limbs subtract(const Limbs& larger, const Limbs& smaller) {
  Limbs difference(larger.size());
  int64_t borrow = 0;
  for (size_t i = 0; i < larger.size(); ++i) {
    int64_t d = int64_t(larger[i]) - (i < smaller.size() ? smaller[i] : 0) + borrow;
    borrow = d < 0 ? -1 : 0;
    difference[i] = uint32_t(d);
  }
  return difference;
}

}  // namespace

const BigInteger& Value::big() const {
  return static_cast<const BigObject*>(as_.object)->value;
}

BigInteger::BigInteger(int64_t value) : negative_(value < 0) {
  uint64_t magnitude = negative_ ? 0 - uint64_t(value) : uint64_t(value);
  for (; magnitude != 0; magnitude >>= 32) limbs_.push_back(uint32_t(magnitude));
}

void BigInteger::trim() {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
  if (limbs_.empty()) negative_ = false;
  if (limbs_.size() > max_limbs) fail_limit("bits in an integer", int64_t(max_limbs) * 32);
}

void BigInteger::multiply_add(uint32_t factor, uint32_t addend) {
  uint64_t carry = addend;
  for (uint32_t& limb : limbs_) {
    carry += uint64_t(limb) * factor;
    limb = uint32_t(carry);
    carry >>= 32;
  }
  if (carry != 0) limbs_.push_back(uint32_t(carry));
}

BigInteger BigInteger::parse(std::string_view digits, int base) {
  BigInteger result;
  if (digits.size() > max_limbs * 32) fail_limit("bits in an integer", int64_t(max_limbs) * 32);
  for (const char c : digits) {
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    result.multiply_add(uint32_t(base), uint32_t(digit));
  }
  result.trim();
  return result;
}

BigInteger BigInteger::from_double(double whole) {
  int exponent = 0;
  const double fraction = std::frexp(std::abs(whole), &exponent);  // whole = fraction * 2^exponent
  if (exponent <= 63) return BigInteger(int64_t(whole));
  BigInteger result(int64_t(std::ldexp(fraction, 53)));
  result = result * power(BigInteger(2), exponent - 53);
  result.negative_ = whole < 0;
  return result;
}

BigInteger BigInteger::of(const Value& integral) {
  return integral.is(Type::big_integer) ? integral.big() : BigInteger(integral.integer());
}

BigInteger BigInteger::operator-() const {
  BigInteger result = *this;
  result.negative_ = !negative_ && !zero();
  return result;
}

std::strong_ordering BigInteger::compare_magnitudes(const Limbs& a, const Limbs& b) {
  if (a.size() != b.size()) return a.size() <=> b.size();
  for (size_t i = a.size(); i-- > 0;)
    if (a[i] != b[i]) return a[i] <=> b[i];
  return std::strong_ordering::equal;
}

std::strong_ordering BigInteger::operator<=>(const BigInteger& other) const {
  if (negative_ != other.negative_) return negative_ ? std::strong_ordering::less : std::strong_ordering::greater;
  return negative_ ? compare_magnitudes(other.limbs_, limbs_) : compare_magnitudes(limbs_, other.limbs_);
}

BigInteger BigInteger::operator+(const BigInteger& other) const {
  BigInteger result;
  if (negative_ == other.negative_) {
    result.limbs_ = add(limbs_, other.limbs_);
    result.negative_ = negative_;
  } else if (compare_magnitudes(limbs_, other.limbs_) >= 0) {
    result.limbs_ = subtract(limbs_, other.limbs_);
    result.negative_ = negative_;
  } else {
    result.limbs_ = subtract(other.limbs_, limbs_);
    result.negative_ = other.negative_;
  }
  result.trim();
  return result;
}

BigInteger BigInteger::operator*(const BigInteger& other) const {
  BigInteger result;
  charge(int64_t(limbs_.size() * other.limbs_.size() / 8));
  result.limbs_.assign(limbs_.size() + other.limbs_.size(), 0);
  for (size_t i = 0; i < limbs_.size(); ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < other.limbs_.size(); ++j) {
      carry += uint64_t(limbs_[i]) * other.limbs_[j] + result.limbs_[i + j];
      result.limbs_[i + j] = uint32_t(carry);
      carry >>= 32;
    }
    result.limbs_[i + other.limbs_.size()] = uint32_t(carry);
  }
  result.negative_ = negative_ != other.negative_;
  result.trim();
  return result;
}

uint32_t BigInteger::divide_small(Limbs& limbs, uint32_t divisor) {
  uint64_t remainder = 0;
  for (size_t i = limbs.size(); i-- > 0;) {
    remainder = remainder << 32 | limbs[i];
    limbs[i] = uint32_t(remainder / divisor);
    remainder %= divisor;
  }
  while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
  return uint32_t(remainder);
}

// Bit by bit: at most 20,000 steps of at most 625 limbs.
BigInteger::Division BigInteger::divide(const BigInteger& dividend, const BigInteger& divisor) {
  Division result;
  result.quotient.limbs_.assign(dividend.limbs_.size(), 0);
  charge(int64_t(dividend.limbs_.size() * divisor.limbs_.size()));
  BigInteger& rest = result.remainder;
  for (size_t bit = dividend.limbs_.size() * 32; bit-- > 0;) {
    rest.multiply_add(2, dividend.limbs_[bit / 32] >> (bit % 32) & 1);
    rest.trim();
    if (compare_magnitudes(rest.limbs_, divisor.limbs_) >= 0) {
      rest.limbs_ = subtract(rest.limbs_, divisor.limbs_);
      rest.trim();
      result.quotient.limbs_[bit / 32] |= uint32_t(1) << (bit % 32);
    }
  }
  result.quotient.negative_ = dividend.negative_ != divisor.negative_;
  result.quotient.trim();
  rest.negative_ = dividend.negative_ && !rest.zero();
  if (!rest.zero() && dividend.negative_ != divisor.negative_) {
    result.quotient = result.quotient - BigInteger(1);
    rest = rest + divisor;
  }
  return result;
}

BigInteger BigInteger::power(const BigInteger& base, int64_t exponent) {
  BigInteger result(1), square = base;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = result * square;
    if (exponent > 1) square = square * square;
  }
  return result;
}

// Rounds to the nearest double, ties to even: the 64 leading bits hold all that matters but whether there is more.
double BigInteger::to_double() const {
  if (limbs_.size() <= 2) {
    uint64_t magnitude = 0;
    for (size_t i = limbs_.size(); i-- > 0;) magnitude = magnitude << 32 | limbs_[i];
    return negative_ ? -double(magnitude) : double(magnitude);
  }
  const size_t n = limbs_.size();
  const int shift = __builtin_clz(limbs_[n - 1]);
  uint64_t top = uint64_t(limbs_[n - 1]) << 32 | limbs_[n - 2];
  if (shift > 0) top = top << shift | limbs_[n - 3] >> (32 - shift);
  bool more = uint32_t(uint64_t(limbs_[n - 3]) << shift) != 0;
  for (size_t i = 0; i + 3 < n; ++i) more = more || limbs_[i] != 0;
  const double value = std::ldexp(double(top | uint64_t(more)), int(n - 2) * 32 - shift);
  return negative_ ? -value : value;
}

std::string BigInteger::to_string(int base) const {
  if (zero()) return "0";
  std::string digits;
  Limbs rest = limbs_;
  charge(int64_t(rest.size() * rest.size()));
  while (!rest.empty()) {
    const uint32_t digit = divide_small(rest, uint32_t(base));
    digits += char(digit < 10 ? '0' + digit : 'a' + digit - 10);
  }
  if (negative_) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

Value BigInteger::to_value() const {
  if (limbs_.size() <= 2) {
    uint64_t magnitude = 0;
    for (size_t i = limbs_.size(); i-- > 0;) magnitude = magnitude << 32 | limbs_[i];
    if (magnitude <= uint64_t(INT64_MAX) + (negative_ ? 1 : 0))
      return Value(int64_t(negative_ ? 0 - magnitude : magnitude));
  }
  return Value(new BigObject(*this));
}

}  // namespace chorus::jinja
