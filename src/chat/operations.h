#pragma once

#include <compare>
#include <string>

#include "chat/ast.h"
#include "chat/value.h"

namespace chorus::jinja {

// Python's operators on values. Those that fail throw what Python would: TypeError, ZeroDivisionError, ...

bool truthy(const Value& value);
bool equal(const Value& a, const Value& b);
/// The result of ==, <, in, ...
bool compare(CompareOp op, const Value& a, const Value& b);
/// a < b, as sorting asks for it.
bool less(const Value& a, const Value& b);
bool contains(const Value& container, const Value& item);

Value arithmetic(BinaryOp op, const Value& a, const Value& b);
/// a + b where `a` may be changed in place if nobody else holds it.
Value add(Value a, const Value& b);
Value negate(const Value& value);
Value absolute(const Value& value);

/// len(value)
int64_t length(const Value& value);
/// value[start:stop:step]; missing bounds are None.
Value slice(const Value& value, const Value& start, const Value& stop, const Value& step);
/// value[index] alone; missing where there is no such element.
Value subscript(const Value& value, const Value& index);

/// As an index or count: integers only. `what` is said in the TypeError otherwise.
int64_t to_index(const Value& value);
double to_double(const Value& number);

/// Whatever uses an undefined value as more than an empty string fails with these words.
[[noreturn]] void fail_undefined(const Value& undefined);
std::string undefined_message(const Undefined& undefined);

/// Runs over whatever can be iterated. Throws TypeError where it cannot.
class Cursor {
 public:
  explicit Cursor(const Value& iterable);
  /// False at the end.
  bool next(Value& item);
  /// len(iterable), -1 for generators.
  int64_t length() const { return length_; }
  /// All that is left.
  Values rest();

 private:
  Value source_;
  size_t at_ = 0;
  int64_t length_ = -1;
};
bool iterable(const Value& value);
Values to_vector(const Value& iterable);

/// str(value)
std::string to_text(const Value& value);
void append_text(std::string& out, const Value& value);
/// repr(value)
std::string repr(const Value& value);
void append_repr(std::string& out, const Value& value);
std::string repr_of_string(std::string_view text);
/// repr of a float: the shortest digits that read back as the same value.
std::string float_text(double value);

/// &, <, >, ', " as HTML entities.
std::string escape_html(std::string_view text);
/// markupsafe.escape: what is Markup already stays.
Value escape(const Value& value);

}  // namespace chorus::jinja
