#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "chat/big_integer.h"
#include "chat/failure.h"
#include "chat/format.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

// [[fill]align][sign][z][#][0][width][grouping][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = 0, sign = '-', grouping = 0, type = 0;
  bool alternate = false;
  int64_t width = 0;
  int precision = -1;
};

bool is_align(char c) {
  return c == '<' || c == '>' || c == '^' || c == '=';
}

Spec parse_spec(std::string_view text, const Value& value) {
  Spec spec;
  size_t at = 0;
  const auto number = [&] {
    int64_t n = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      n = n * 10 + (text[at] - '0');
      if (n > int64_t(1) << 31) fail_value("Too many decimal digits in format string");
    }
    return n;
  };
  const size_t first = text.empty() ? 0 : decode_utf8(text, 0).size;
  if (first < text.size() && is_align(text[first])) {
    spec.fill = std::string(text.substr(0, first));
    spec.align = text[first];
    at = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[at++];
  }
  if (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == ' ')) spec.sign = text[at++];
  if (at < text.size() && text[at] == '#') {
    spec.alternate = true;
    ++at;
  }
  if (at < text.size() && text[at] == '0') {
    if (spec.align == 0) {
      spec.fill = "0";
      spec.align = '=';
    }
    ++at;
  }
  spec.width = number();
  if (at < text.size() && (text[at] == ',' || text[at] == '_')) spec.grouping = text[at++];
  if (at < text.size() && text[at] == '.') {
    const size_t begin = ++at;
    spec.precision = int(std::min<int64_t>(number(), 1 << 30));
    if (at == begin) fail_value("Format specifier missing precision");
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size())
    fail_value("Invalid format specifier '" + std::string(text) + "' for object of type '" + type_name(value) +
               "'");
  return spec;
}

std::string group(std::string digits, char separator, size_t every) {
  size_t end = 0;
  while (end < digits.size() && std::isxdigit(static_cast<unsigned char>(digits[end]))) ++end;
  for (size_t i = end; i > every; i -= every) digits.insert(i - every, 1, separator);
  return digits;
}

std::string with_sign(std::string digits, bool negative, const Spec& spec) {
  if (negative) return "-" + digits;
  return spec.sign == '+' ? "+" + digits : spec.sign == ' ' ? " " + digits : digits;
}

[[noreturn]] void fail_code(const Spec& spec, const Value& value) {
  fail_value(std::string("Unknown format code '") + spec.type + "' for object of type '" + type_name(value) + "'");
}

std::string format_real(double value, const Spec& spec, const Value& original) {
  char form = spec.type;
  std::string digits;
  const double magnitude = std::abs(value);
  const bool percent = form == '%';
  if (form == 0 && spec.precision < 0)
    digits = float_text(magnitude);
  else if (percent)
    digits = format_float(magnitude * 100, 'f', spec.precision < 0 ? 6 : spec.precision) + "%";
  else {
    if (form == 0 || form == 'n') form = 'g';
    if (std::string_view("eEfFgG").find(form) == std::string_view::npos) fail_code(spec, original);
    digits = format_float(magnitude, form, spec.precision < 0 ? 6 : spec.precision, spec.alternate);
    if (spec.type == 0 && digits.find_first_of(".en") == std::string::npos) digits += ".0";
  }
  if (spec.grouping != 0) digits = group(std::move(digits), spec.grouping, 3);
  return pad(with_sign(std::move(digits), std::signbit(value) && !std::isnan(value), spec), spec.width, spec.fill,
             spec.align == 0 ? '>' : spec.align);
}

std::string format_integer(const Value& value, const Spec& spec) {
  if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != 0)
    return format_real(to_double(value), spec, value);
  if (spec.precision >= 0) fail_value("Precision not allowed in integer format specifier");
  const BigInteger n = BigInteger::of(value);
  const BigInteger magnitude = n.negative() ? -n : n;
  std::string digits;
  switch (spec.type) {
    case 0:
    case 'd':
    case 'n':
      digits = magnitude.to_string();
      break;
    case 'x':
    case 'X':
      digits = magnitude.to_string(16);
      break;
    case 'o':
      digits = magnitude.to_string(8);
      break;
    case 'b':
      digits = magnitude.to_string(2);
      break;
    case 'c': {
      if (!value.is_integral() || value.integer() < 0 || value.integer() > 0x10ffff)
        fail(Cause::overflow, "%c arg not in range(0x110000)");
      std::string text;
      append_utf8(text, char32_t(value.integer()));
      return pad(std::move(text), spec.width, spec.fill, spec.align == 0 ? '<' : spec.align);
    }
    default:
      fail_code(spec, value);
  }
  const bool decimal = spec.type == 0 || spec.type == 'd' || spec.type == 'n';
  if (spec.grouping == ',' && !decimal) fail_value(std::string("Cannot specify ',' with '") + spec.type + "'.");
  if (spec.grouping != 0) digits = group(std::move(digits), spec.grouping, decimal ? 3 : 4);
  if (spec.alternate && !decimal) digits.insert(0, spec.type == 'o' ? "0o" : spec.type == 'b' ? "0b" : "0x");
  if (spec.type == 'X')
    for (char& c : digits)
      if (c >= 'a' && c <= 'z') c = char(c - 0x20);
  return pad(with_sign(std::move(digits), n.negative(), spec), spec.width, spec.fill,
             spec.align == 0 ? '>' : spec.align);
}

class BraceFormatter {
 public:
  BraceFormatter(Evaluator& evaluator, const Arguments& arguments, bool markup)
      : evaluator_(evaluator), arguments_(arguments), markup_(markup) {}
  std::string run(std::string_view format, int depth);

 private:
  std::string field(std::string_view inner, int depth);
  Value look_up(std::string_view name);
  Value first_of(std::string_view name);

  Evaluator& evaluator_;
  const Arguments& arguments_;
  bool markup_;
  int64_t automatic_ = 0;  // -1: the format numbers its fields itself
};

std::string BraceFormatter::run(std::string_view format, int depth) {
  if (depth < 0) fail_value("Max string recursion exceeded");
  std::string out;
  for (size_t at = 0; at < format.size();) {
    const char c = format[at];
    if (c != '{' && c != '}') {
      const size_t end = std::min(format.find_first_of("{}", at), format.size());
      out.append(format, at, end - at);
      at = end;
      continue;
    }
    if (at + 1 < format.size() && format[at + 1] == c) {
      out += c;
      at += 2;
      continue;
    }
    if (c == '}') fail_value("Single '}' encountered in format string");
    int open = 1;
    size_t end = at + 1;
    for (; end < format.size() && open > 0; ++end) open += format[end] == '{' ? 1 : format[end] == '}' ? -1 : 0;
    if (open > 0)
      fail_value(at + 1 == format.size() ? "Single '{' encountered in format string"
                                         : "expected '}' before end of string");
    out += field(format.substr(at + 1, end - at - 2), depth);
    check_string_size(double(out.size()));
    at = end;
  }
  return out;
}

std::string BraceFormatter::field(std::string_view inner, int depth) {
  charge(1);
  size_t end = 0;
  for (int brackets = 0; end < inner.size(); ++end) {
    if (inner[end] == '[')
      ++brackets;
    else if (inner[end] == ']')
      --brackets;
    else if (brackets == 0 && (inner[end] == '!' || inner[end] == ':'))
      break;
  }
  Value value = look_up(inner.substr(0, end));
  if (end < inner.size() && inner[end] == '!') {
    const char conversion = end + 1 < inner.size() ? inner[end + 1] : 0;
    if (conversion == 'r' || conversion == 'a')
      value = make_string(repr(value));
    else if (conversion == 's')
      value = make_string(to_text(value));
    else
      fail_value("Unknown conversion specifier");
    end += 2;
    if (end < inner.size() && inner[end] != ':') fail_value("expected ':' after conversion specifier");
  }
  const std::string spec = end < inner.size() ? run(inner.substr(end + 1), depth - 1) : std::string();
  if (markup_ && spec.empty()) return std::string(escape(value).text());
  const std::string text = format_value(value, spec);
  return markup_ ? escape_html(text) : text;
}

Value BraceFormatter::first_of(std::string_view name) {
  const bool numeric =
      !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!numeric && !name.empty()) {
    for (const Keyword& keyword : arguments_.keywords)
      if (keyword.name.text() == name) return keyword.value;
    fail(Cause::lookup, repr_of_string(name));
  }
  if (numeric && automatic_ > 0)
    fail_value("cannot switch from automatic field numbering to manual field specification");
  if (name.empty() && automatic_ < 0)
    fail_value("cannot switch from manual field specification to automatic field numbering");
  const int64_t i = name.empty() ? automatic_++ : name.size() > 9 ? INT32_MAX : std::stoll(std::string(name));
  if (numeric) automatic_ = -1;
  if (i >= int64_t(arguments_.positional.size()))
    fail(Cause::lookup, "Replacement index " + std::to_string(i) + " out of range for positional args tuple");
  return arguments_.positional[size_t(i)];
}

Value BraceFormatter::look_up(std::string_view name) {
  size_t at = std::min(name.find_first_of(".["), name.size());
  Value value = first_of(name.substr(0, at));
  while (at < name.size()) {
    if (name[at] == '.') {
      const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
      if (end == at + 1) fail_value("Empty attribute in format string");
      value = evaluator_.get_attribute(value, make_string(name.substr(at + 1, end - at - 1)));
      at = end;
    } else if (name[at] == '[') {
      const size_t end = name.find(']', at);
      if (end == std::string_view::npos) fail_value("Missing ']' in format string");
      const std::string_view key = name.substr(at + 1, end - at - 1);
      const bool numeric = !key.empty() && key.size() < 10 &&
                           std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      value =
          evaluator_.get_item(value, numeric ? Value(int64_t(std::stoll(std::string(key)))) : make_string(key));
      at = end + 1;
    } else {
      fail_value("Only '.' or '[' may follow ']' in format field specifier");
    }
  }
  return value;
}

}  // namespace

std::string format_value(const Value& value, std::string_view text) {
  if (text.empty()) return to_text(value);
  const Spec spec = parse_spec(text, value);
  switch (value.type()) {
    case Type::integer:
    case Type::big_integer:
    case Type::boolean:
      return format_integer(value, spec);
    case Type::real:
      return format_real(value.real(), spec, value);
    case Type::string: {
      if (spec.type != 0 && spec.type != 's') fail_code(spec, value);
      if (spec.align == '=' && spec.fill != "0")
        fail_value("'=' alignment not allowed in string format specifier");
      std::string cut(value.text());
      if (spec.precision >= 0 && int64_t(utf8_length(cut)) > spec.precision) {
        size_t end = 0;
        for (int i = 0; i < spec.precision; ++i) end += decode_utf8(cut, end).size;
        cut.resize(end);
      }
      return pad(std::move(cut), spec.width, spec.fill, spec.align == 0 || spec.align == '=' ? '<' : spec.align);
    }
    default:
      fail_type("unsupported format string passed to " + type_name(value) + ".__format__");
  }
}

Value format_braces(Evaluator& evaluator, const Value& format, const Arguments& arguments) {
  return make_string(BraceFormatter(evaluator, arguments, format.markup()).run(format.text(), 2), format.markup());
}

}  // namespace chorus::jinja
