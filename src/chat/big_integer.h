#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/value.h"

namespace chorus::jinja {

/// An integer beyond int64: Python's have no bound, ours end at 2^20000 (Python itself refuses to print more than
/// 4300 digits, which is less). Arithmetic is the schoolbook's: such numbers hardly occur in prompts.
class BigInteger {
 public:
  explicit BigInteger(int64_t value = 0);
  /// Digits of the base (2 to 36), already checked, without sign.
  static BigInteger parse(std::string_view digits, int base);
  static BigInteger from_double(double whole);
  static BigInteger of(const Value& integral);

  BigInteger operator-() const;
  BigInteger operator+(const BigInteger& other) const;
  BigInteger operator-(const BigInteger& other) const { return *this + -other; }
  BigInteger operator*(const BigInteger& other) const;
  struct Division;
  /// Rounded towards minus infinity, as Python's // and %. `divisor` is not zero.
  static Division divide(const BigInteger& dividend, const BigInteger& divisor);
  static BigInteger power(const BigInteger& base, int64_t exponent);

  std::strong_ordering operator<=>(const BigInteger& other) const;
  bool operator==(const BigInteger& other) const = default;

  bool negative() const { return negative_; }
  bool zero() const { return limbs_.empty(); }
  double to_double() const;
  std::string to_string(int base = 10) const;
  /// A plain integer where it fits.
  Value to_value() const;

 private:
  void trim();
  static std::strong_ordering compare_magnitudes(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b);
  static uint32_t divide_small(std::vector<uint32_t>& limbs, uint32_t divisor);
  void multiply_add(uint32_t factor, uint32_t addend);

  bool negative_ = false;
  std::vector<uint32_t> limbs_;  // least significant first, none for zero
};

struct BigInteger::Division {
  BigInteger quotient, remainder;
};

}  // namespace chorus::jinja
