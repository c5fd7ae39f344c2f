#include <cmath>
#include <cstring>

#include "chat/big_integer.h"
#include "chat/failure.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

// Exact, also between integers and floats beyond 2^53.
std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() <=> b.integer();
  const bool a_real = a.is(Type::real), b_real = b.is(Type::real);
  if (a_real && b_real) return a.real() <=> b.real();
  if (!a_real && !b_real) return BigInteger::of(a) <=> BigInteger::of(b);
  if (b_real) {
    const double d = b.real();
    if (std::isnan(d)) return std::partial_ordering::unordered;
    if (std::isinf(d)) return d > 0 ? std::partial_ordering::less : std::partial_ordering::greater;
    const double floor = std::floor(d);
    const auto whole = BigInteger::of(a) <=> BigInteger::from_double(floor);
    return whole == 0 && d > floor ? std::partial_ordering::less : std::partial_ordering(whole);
  }
  return 0 <=> compare_numbers(b, a);
}

// Python compares sequences at the first pair that differs.
bool less_sequences(const List& a, const List& b, CompareOp op) {
  const DepthGuard guard;
  const size_t n = std::min(a.items.size(), b.items.size());
  for (size_t i = 0; i < n; ++i) {
    charge(1);
    if (!a.items[i].same_as(b.items[i]) && !equal(a.items[i], b.items[i]))
      return compare(op, a.items[i], b.items[i]);
  }
  const auto order = a.items.size() <=> b.items.size();
  return op == CompareOp::lt   ? order < 0
         : op == CompareOp::le ? order <= 0
         : op == CompareOp::gt ? order > 0
                               : order >= 0;
}

bool holds(CompareOp op, std::partial_ordering order) {
  switch (op) {
    case CompareOp::lt:
      return order < 0;
    case CompareOp::le:
      return order <= 0;
    case CompareOp::gt:
      return order > 0;
    default:
      return order >= 0;
  }
}

bool ordered(CompareOp op, const Value& a, const Value& b) {
  static constexpr const char* symbols[] = {"==", "!=", "<", "<=", ">", ">="};
  if (a.is_number() && b.is_number()) return holds(op, compare_numbers(a, b));
  if (a.is_string() && b.is_string()) {  // UTF-8 sorts as code points do
    charge(int64_t(std::min(a.text().size(), b.text().size()) / 64));
    return holds(op, a.text().compare(b.text()) <=> 0);
  }
  if (a.is_sequence() && a.type() == b.type()) return less_sequences(a.list(), b.list(), op);
  if (a.is(Type::undefined)) fail_undefined(a);
  if (b.is(Type::undefined)) fail_undefined(b);
  fail_type(std::string("'") + symbols[int(op)] + "' not supported between instances of '" + type_name(a) +
            "' and '" + type_name(b) + "'");
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  const DepthGuard guard;
  for (const auto& [key, value] : a.items()) {
    charge(1);
    const Value* other = b.find(key);
    if (other == nullptr || (!value.same_as(*other) && !equal(value, *other))) return false;
  }
  return true;
}

bool equal_lists(const List& a, const List& b) {
  if (a.items.size() != b.items.size()) return false;
  const DepthGuard guard;
  for (size_t i = 0; i < a.items.size(); ++i) {
    charge(1);
    if (!a.items[i].same_as(b.items[i]) && !equal(a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  const int64_t n = a.size();
  return n == b.size() && (n == 0 || (a.start == b.start && (n == 1 || a.step == b.step)));
}

bool contains_text(std::string_view text, std::string_view part) {
  charge(int64_t((text.size() + part.size()) / 64));
  if (part.empty() || text.empty()) return part.empty();
  // Most texts do not have the part's first letter, and memmem takes a while to begin.
  const void* first = std::memchr(text.data(), part[0], text.size());
  if (first == nullptr) return false;
  text.remove_prefix(size_t(static_cast<const char*>(first) - text.data()));
  return memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
}

}  // namespace

bool truthy(const Value& value) {
  switch (value.type()) {
    case Type::none:
    case Type::missing:
    case Type::undefined:
      return false;
    case Type::boolean:
      return value.boolean();
    case Type::integer:
      return value.integer() != 0;
    case Type::real:
      return value.real() != 0;
    case Type::big_integer:
      return true;
    case Type::string:
      return !value.text().empty();
    case Type::list:
    case Type::tuple:
      return !value.list().items.empty();
    case Type::dict:
      return value.dict().size() != 0;
    case Type::range:
      return value.range().size() != 0;
    case Type::opaque:
      return value.opaque().length() != 0;
    case Type::name_space:
      return true;
  }
  return true;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_view() && b.is_view()) return a.same_view(b);
  if (a.is_string() && b.is_string()) return a.text() == b.text();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Type::list:
    case Type::tuple:
      return &a.list() == &b.list() || equal_lists(a.list(), b.list());
    case Type::dict:
      return &a.dict() == &b.dict() || equal_dicts(a.dict(), b.dict());
    case Type::range:
      return equal_ranges(a.range(), b.range());
    case Type::undefined:
      return true;
    default:
      return a.same_as(b);
  }
}

bool less(const Value& a, const Value& b) {
  charge(1);
  return ordered(CompareOp::lt, a, b);
}

bool compare(CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::eq:
      return equal(a, b);
    case CompareOp::ne:
      return !equal(a, b);
    case CompareOp::in:
      return contains(b, a);
    case CompareOp::not_in:
      return !contains(b, a);
    default:
      return ordered(op, a, b);
  }
}

bool contains(const Value& container, const Value& item) {
  switch (container.type()) {
    case Type::string:
      if (!item.is_string()) fail_type("'in <string>' requires string as left operand, not " + type_name(item));
      return contains_text(container.text(), item.text());
    case Type::dict:
      return container.dict().find(item) != nullptr;
    case Type::list:
    case Type::tuple:
      for (const Value& v : container.list().items) {
        charge(1);
        if (v.same_as(item) || equal(v, item)) return true;
      }
      return false;
    case Type::range: {
      const Range& r = container.range();
      if (!item.is_integral())
        return item.is(Type::real) && item.real() == std::floor(item.real()) && std::abs(item.real()) < 0x1p62 &&
               contains(container, Value(int64_t(item.real())));
      const int64_t x = item.integer();
      const bool inside = r.step > 0 ? x >= r.start && x < r.stop : x <= r.start && x > r.stop;
      return inside && (x - r.start) % r.step == 0;
    }
    case Type::undefined:
      return false;
    case Type::opaque:
      if (container.opaque().iterable()) {
        Cursor cursor(container);
        for (Value v; cursor.next(v);) {
          charge(1);
          if (equal(v, item)) return true;
        }
        return false;
      }
      [[fallthrough]];
    default:
      fail_type("argument of type '" + type_name(container) + "' is not iterable");
  }
}

}  // namespace chorus::jinja
