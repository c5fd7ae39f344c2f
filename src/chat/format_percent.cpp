#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"
#include "chat/big_integer.h"
#include "chat/failure.h"
#include "chat/format.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

// To Python a mapping, none of which has to be used.
bool has_items(Type type) {
  return type == Type::dict || type == Type::list || type == Type::range || type == Type::undefined;
}

struct Conversion {
  bool left = false, plus = false, blank = false, zero = false, alternate = false;
  int64_t width = 0;
  int precision = -1;
};

class PercentFormatter {
 public:
  PercentFormatter(const Value& format, const Value& arguments) : format_(format.text()), arguments_(arguments) {
    markup_ = format.markup();
  }
  std::string run();

 private:
  const Value& next_argument();
  void conversion();
  Value keyed();
  int64_t number();
  std::string integer(const Value& value, char form, const Conversion& c);
  std::string character(const Value& value);
  void put(std::string text, const Conversion& c, bool numeric);

  std::string_view format_;
  const Value& arguments_;
  bool markup_ = false;
  size_t at_ = 0, used_ = 0;
  bool used_key_ = false;
  std::string out_;
};

const Value& PercentFormatter::next_argument() {
  if (arguments_.is(Type::tuple)) {
    if (used_ >= arguments_.list().items.size()) fail_type("not enough arguments for format string");
    return arguments_.list().items[used_++];
  }
  if (used_++ > 0) fail_type("not enough arguments for format string");
  return arguments_;
}

std::string PercentFormatter::run() {
  while (at_ < format_.size()) {
    const size_t percent = std::min(format_.find('%', at_), format_.size());
    out_.append(format_, at_, percent - at_);
    at_ = percent;
    if (at_ < format_.size()) conversion();
    check_string_size(double(out_.size()));
  }
  const bool all_used = arguments_.is(Type::tuple) ? used_ == arguments_.list().items.size()
                                                   : used_ > 0 || used_key_ || has_items(arguments_.type());
  if (!all_used) fail_type("not all arguments converted during string formatting");
  return std::move(out_);
}

Value PercentFormatter::keyed() {
  int depth = 1;
  const size_t begin = at_;
  for (; at_ < format_.size() && depth > 0; ++at_) depth += format_[at_] == '(' ? 1 : format_[at_] == ')' ? -1 : 0;
  if (depth > 0) fail_value("incomplete format key");
  const std::string_view key = format_.substr(begin, at_ - 1 - begin);
  if (!arguments_.is(Type::dict)) fail_type("format requires a mapping");
  const Value* found = arguments_.dict().find(key);
  if (found == nullptr) fail(Cause::lookup, repr_of_string(key));
  used_key_ = true;
  return *found;
}

int64_t PercentFormatter::number() {
  if (at_ < format_.size() && format_[at_] == '*') {
    ++at_;
    const Value& value = next_argument();
    if (!value.is_integral()) fail_type("* wants int");
    return value.integer();
  }
  int64_t n = 0;
  for (; at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9'; ++at_) {
    n = n * 10 + (format_[at_] - '0');
    if (n > int64_t(1) << 31) fail_value("width too big");
  }
  return n;
}

void PercentFormatter::conversion() {
  ++at_;
  Conversion c;
  Value value;
  if (at_ < format_.size() && format_[at_] == '(') {
    ++at_;
    value = keyed();
  }
  for (; at_ < format_.size(); ++at_) {
    const char flag = format_[at_];
    if (flag == '-')
      c.left = true;
    else if (flag == '+')
      c.plus = true;
    else if (flag == ' ')
      c.blank = true;
    else if (flag == '0')
      c.zero = true;
    else if (flag == '#')
      c.alternate = true;
    else
      break;
  }
  c.width = number();
  if (c.width < 0) {
    c.left = true;
    c.width = -c.width;
  }
  if (at_ < format_.size() && format_[at_] == '.') {
    ++at_;
    const int64_t precision = std::max<int64_t>(number(), 0);
    if (precision > 1'000'000) fail_value("precision too big");
    c.precision = int(precision);
  }
  while (at_ < format_.size() && (format_[at_] == 'l' || format_[at_] == 'h' || format_[at_] == 'L')) ++at_;
  if (at_ >= format_.size()) fail_value("incomplete format");
  const char form = format_[at_++];
  if (form == '%') return put("%", {}, false);
  if (value.is_missing() && std::string_view("srcadiuoxXeEfFgG").find(form) != std::string_view::npos)
    value = next_argument();
  switch (form) {
    case 's':
    case 'r':
    case 'a': {
      std::string text =
          form == 's' ? (markup_ ? std::string(escape(value).text()) : to_text(value)) : repr(value);
      if (c.precision >= 0 && int64_t(utf8_length(text)) > c.precision) {
        size_t end = 0;
        for (int i = 0; i < c.precision; ++i) end += decode_utf8(text, end).size;
        text.resize(end);
      }
      return put(std::move(text), c, false);
    }
    case 'c':
      return put(character(value), c, false);
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      return put(integer(value, form, c), c, true);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': {
      if (value.is(Type::undefined)) fail_undefined(value);
      if (!value.is_number()) fail_type("must be real number, not " + type_name(value));
      std::string text = format_float(to_double(value), form, c.precision < 0 ? 6 : c.precision, c.alternate);
      if (text[0] != '-') text.insert(0, c.plus ? "+" : c.blank ? " " : "");
      return put(std::move(text), c, true);
    }
    default:
      fail_value("unsupported format character '" + std::string(1, form) + "' (0x" +
                 "0123456789abcdef"[form >> 4 & 15] + "0123456789abcdef"[form & 15] + ") at index " +
                 std::to_string(at_ - 1));
  }
}

std::string PercentFormatter::integer(const Value& value, char form, const Conversion& c) {
  if (value.is(Type::undefined)) fail_undefined(value);
  const bool decimal = form == 'd' || form == 'i' || form == 'u';
  if (!value.is_number() || (value.is(Type::real) && !decimal))
    fail_type(std::string("%") + form + " format: " + (decimal ? "a real number" : "an integer") +
              " is required, not " + type_name(value));
  if (value.is(Type::real) && !std::isfinite(value.real()))
    fail(Cause::overflow, "cannot convert float infinity or NaN to integer");
  const BigInteger n =
      value.is(Type::real) ? BigInteger::from_double(std::trunc(value.real())) : BigInteger::of(value);
  std::string digits = (n.negative() ? -n : n).to_string(decimal ? 10 : form == 'o' ? 8 : 16);
  if (c.precision > int(digits.size())) digits.insert(0, size_t(c.precision) - digits.size(), '0');
  if (c.alternate && !decimal) digits.insert(0, form == 'o' ? "0o" : "0x");
  if (form == 'X')
    for (char& d : digits)
      if (d >= 'a' && d <= 'z') d = char(d - 0x20);
  return (n.negative() ? "-" : c.plus ? "+" : c.blank ? " " : "") + digits;
}

std::string PercentFormatter::character(const Value& value) {
  if (value.is_string() && value.text_length() == 1) return std::string(value.text());
  if (!value.is_integral()) fail_type("%c requires int or char");
  const int64_t code = value.integer();
  if (code < 0 || code > 0x10ffff) fail(Cause::overflow, "%c arg not in range(0x110000)");
  std::string out;
  append_utf8(out, code >= 0xd800 && code < 0xe000 ? char32_t(0xfffd) : char32_t(code));
  return out;
}

void PercentFormatter::put(std::string text, const Conversion& c, bool numeric) {
  if (c.left)
    out_ += pad(std::move(text), c.width, " ", '<');
  else if (c.zero && numeric)
    out_ += pad(std::move(text), c.width, "0", '=');
  else
    out_ += pad(std::move(text), c.width, " ", '>');
}

}  // namespace

std::string pad(std::string text, int64_t width, std::string_view fill, char align) {
  const int64_t missing = width - int64_t(utf8_length(text));
  if (missing <= 0) return text;
  check_string_size(double(text.size()) + double(missing) * double(fill.size()));
  charge(missing / 16);
  const auto filled = [&](int64_t n) {
    std::string out;
    for (int64_t i = 0; i < n; ++i) out += fill;
    return out;
  };
  if (align == '<') return text + filled(missing);
  if (align == '^') return filled(missing / 2) + text + filled(missing - missing / 2);
  size_t sign = 0;
  if (align == '=') {
    if (!text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ')) sign = 1;
    if (text.size() > sign + 1 && text[sign] == '0' && (text[sign + 1] | 0x20) >= 'a' &&
        (text[sign + 1] | 0x20) <= 'x')
      sign += 2;
  }
  return text.insert(sign, filled(missing));
}

std::string format_float(double value, char form, int precision, bool alternate) {
  check_string_size(double(precision) + 400);
  if (!std::isfinite(value)) {
    std::string text = std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    if (form < 'a')
      for (char& c : text) c = c == '-' ? c : char(c - 0x20);
    return text;
  }
  const char pattern[] = {
      '%', alternate ? '#' : '.', alternate ? '.' : '*', alternate ? '*' : form, alternate ? form : '\0', '\0'};
  const int size = std::snprintf(nullptr, 0, pattern, precision, value);
  std::string text(size_t(size) + 1, '\0');
  std::snprintf(text.data(), text.size(), pattern, precision, value);
  text.pop_back();
  return text;
}

Value format_percent(const Value& format, const Value& arguments) {
  return make_string(PercentFormatter(format, arguments).run(), format.markup());
}

}  // namespace chorus::jinja
