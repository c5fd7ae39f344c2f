#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "chat/big_integer.h"
#include "chat/failure.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

// Byte offset of the code point `index` of a text.
size_t byte_offset(const Value& text, int64_t index) {
  if (text.ascii()) return size_t(index);
  charge(index / 32);
  size_t at = 0;
  for (int64_t i = 0; i < index; ++i) at += decode_utf8(text.text(), at).size;
  return at;
}

// A bound of a slice over `size` elements, as Python clips it.
int64_t clip(const Value& bound, int64_t size, int64_t when_none, bool backwards) {
  if (bound.is_none() || bound.is_missing()) return when_none;
  int64_t i = 0;
  if (bound.is(Type::big_integer))
    i = bound.big().negative() ? std::numeric_limits<int64_t>::min() / 2 : std::numeric_limits<int64_t>::max() / 2;
  else if (bound.is_integral())
    i = bound.integer();
  else
    fail_type("slice indices must be integers or None or have an __index__ method");
  if (i < 0) i = i < -size ? (backwards ? -1 : 0) : i + size;
  return std::min(i, backwards ? size - 1 : size);
}

struct Bounds {
  int64_t start, step, count;
};

Bounds bounds_of(int64_t size, const Value& start, const Value& stop, const Value& step) {
  int64_t by = 1;
  if (step.is_integral())
    by = step.integer();
  else if (step.is(Type::big_integer))
    by = step.big().negative() ? -std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::max();
  else if (!step.is_none() && !step.is_missing())
    fail_type("slice indices must be integers or None or have an __index__ method");
  if (by == 0) fail_value("slice step cannot be zero");
  by = std::max(by, -std::numeric_limits<int64_t>::max());
  const bool backwards = by < 0;
  const int64_t from = clip(start, size, backwards ? size - 1 : 0, backwards);
  const int64_t to = clip(stop, size, backwards ? -1 : size, backwards);
  const int64_t span = backwards ? from - to : to - from;
  const int64_t stride = backwards ? -by : by;
  return {from, by, span <= 0 ? 0 : (span - 1) / stride + 1};
}

Value slice_text(const Value& text, const Bounds& b) {
  if (b.step == 1) {
    const size_t begin = byte_offset(text, b.count == 0 ? 0 : b.start);
    size_t end = begin;
    if (text.ascii())
      end = begin + size_t(b.count);
    else
      for (int64_t i = 0; i < b.count; ++i) end += decode_utf8(text.text(), end).size;
    return make_string(text.text().substr(begin, end - begin), text.markup());
  }
  std::vector<size_t> starts;  // of every code point, so that steps may go back
  for (size_t at = 0; at < text.text().size(); at += decode_utf8(text.text(), at).size) starts.push_back(at);
  charge(int64_t(starts.size() / 8));
  std::string out;
  for (int64_t i = 0; i < b.count; ++i) {
    const size_t at = starts[size_t(b.start + i * b.step)];
    out.append(text.text(), at, decode_utf8(text.text(), at).size);
  }
  return make_string(std::move(out), text.markup());
}

Value element(const Value& sequence, int64_t i) {
  const int64_t size = length(sequence);
  if (i < 0) i += size;
  if (i < 0 || i >= size) return {};
  switch (sequence.type()) {
    case Type::range:
      return Value(sequence.range().at(i));
    case Type::string: {
      const size_t at = byte_offset(sequence, i);
      const size_t bytes = sequence.ascii() ? 1 : decode_utf8(sequence.text(), at).size;
      return make_string(sequence.text().substr(at, bytes), sequence.markup());
    }
    default:
      return sequence.list().items[size_t(i)];
  }
}

}  // namespace

int64_t length(const Value& value) {
  switch (value.type()) {
    case Type::string:
      return int64_t(value.text_length());
    case Type::list:
    case Type::tuple:
      return int64_t(value.list().items.size());
    case Type::dict:
      return int64_t(value.dict().size());
    case Type::range:
      return value.range().size();
    case Type::undefined:
      return 0;
    case Type::opaque:
      if (value.opaque().length() >= 0) return value.opaque().length();
      [[fallthrough]];
    default:
      fail_type("object of type '" + type_name(value) + "' has no len()");
  }
}

int64_t to_index(const Value& value) {
  if (value.is_integral()) return value.integer();
  if (value.is(Type::undefined)) fail_undefined(value);
  if (value.is(Type::big_integer)) fail(Cause::overflow, "Python int too large to convert to C ssize_t");
  fail_type("'" + type_name(value) + "' object cannot be interpreted as an integer");
}

Value slice(const Value& value, const Value& start, const Value& stop, const Value& step) {
  switch (value.type()) {
    case Type::string: {
      const Bounds b = bounds_of(length(value), start, stop, step);
      return slice_text(value, b);
    }
    case Type::list:
    case Type::tuple: {
      const Values& items = value.list().items;
      const Bounds b = bounds_of(int64_t(items.size()), start, stop, step);
      charge(b.count / 8);
      Values out;
      out.reserve(size_t(b.count));
      for (int64_t i = 0; i < b.count; ++i) out.push_back(items[size_t(b.start + i * b.step)]);
      return value.is(Type::list) ? make_list(std::move(out)) : make_tuple(std::move(out));
    }
    case Type::range: {
      const Range& r = value.range();
      const Bounds b = bounds_of(r.size(), start, stop, step);
      const int64_t by = r.step * b.step, from = b.count == 0 ? r.start : r.at(b.start);
      return Value(new Range(from, from + b.count * by, by));
    }
    default:
      fail_type("'" + type_name(value) + "' object is not subscriptable");
  }
}

Value subscript(const Value& value, const Value& index) {
  switch (value.type()) {
    case Type::dict: {
      const Value* found = value.dict().find(index);
      return found == nullptr ? Value() : *found;
    }
    case Type::string:
    case Type::list:
    case Type::tuple:
    case Type::range:
      if (!index.is_integral()) return {};
      return element(value, index.integer());
    default:
      return {};
  }
}

bool iterable(const Value& value) {
  switch (value.type()) {
    case Type::string:
    case Type::list:
    case Type::tuple:
    case Type::dict:
    case Type::range:
    case Type::undefined:
      return true;
    case Type::opaque:
      return value.opaque().iterable();
    default:
      return false;
  }
}

Cursor::Cursor(const Value& iterable) : source_(iterable) {
  switch (iterable.type()) {
    case Type::list:
    case Type::tuple:
      length_ = int64_t(iterable.list().items.size());
      return;
    case Type::dict:
      length_ = int64_t(iterable.dict().size());
      return;
    case Type::range:
      length_ = iterable.range().size();
      return;
    case Type::string:
      length_ = int64_t(iterable.text_length());
      return;
    case Type::undefined:
      length_ = 0;
      return;
    case Type::opaque:
      if (iterable.opaque().iterable()) {
        length_ = iterable.opaque().length();
        source_ = iterable.opaque().iterate();
        return;
      }
      [[fallthrough]];
    default:
      fail_type("'" + type_name(iterable) + "' object is not iterable");
  }
}

bool Cursor::next(Value& item) {
  switch (source_.type()) {
    case Type::list:
    case Type::tuple:
      if (at_ >= source_.list().items.size()) return false;
      item = source_.list().items[at_++];
      return true;
    case Type::dict:
      if (at_ >= source_.dict().size()) return false;
      item = source_.dict().items()[at_++].first;
      return true;
    case Type::range:
      if (int64_t(at_) >= length_) return false;
      item = Value(source_.range().at(int64_t(at_++)));
      return true;
    case Type::string: {
      const std::string_view text = source_.text();
      if (at_ >= text.size()) return false;
      const size_t size = decode_utf8(text, at_).size;
      item = make_string(text.substr(at_, size));  // plain also where the whole is markup
      at_ += size;
      return true;
    }
    case Type::opaque:
      item = source_.opaque().next();
      return !item.is_missing();
    default:
      return false;
  }
}

Values Cursor::rest() {
  Values items;
  if (length_ > 0) items.reserve(size_t(length_));
  for (Value item; next(item);) {
    charge(1);
    items.push_back(item);
    if (items.size() % 4096 == 0) check_string_size(double(items.size() * sizeof(Value)));
  }
  return items;
}

Values to_vector(const Value& iterable) {
  return Cursor(iterable).rest();
}

std::string undefined_message(const Undefined& undefined) {
  if (!undefined.hint.empty()) return undefined.hint;
  if (undefined.unsafe)
    return "access to attribute " + repr(undefined.name) + " of '" + undefined.owner + "' object is unsafe.";
  if (undefined.owner.empty()) return repr(undefined.name) + " is undefined";
  if (!undefined.name.is_string()) return undefined.owner + " has no element " + repr(undefined.name);
  return "'" + undefined.owner + "' has no attribute " + repr(undefined.name);
}

void fail_undefined(const Value& undefined) {
  const Undefined& u = undefined.undefined();
  fail(u.unsafe ? Cause::security : Cause::undefined, undefined_message(u));
}

}  // namespace chorus::jinja
