#include "chat/string_methods.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"
#include "chat/callables.h"
#include "chat/failure.h"
#include "chat/format.h"
#include "chat/limits.h"
#include "chat/operations.h"
#include "chat/string_split.h"
#include "chat/unicode.h"

namespace chorus::jinja {
namespace {

Value like(const Value& self, std::string text) {
  return make_string(std::move(text), self.markup());
}

void no_arguments(const char* name, const Arguments& arguments) {
  if (!arguments.positional.empty() || !arguments.keywords.empty())
    fail_type("str." + std::string(name) + "() takes no arguments (" +
              std::to_string(arguments.positional.size() + arguments.keywords.size()) + " given)");
}

std::string_view require_text(const Value& value, const char* where) {
  if (value.is(Type::undefined)) fail_undefined(value);
  if (!value.is_string()) fail_type(std::string(where) + " must be str, not " + type_name(value));
  return value.text();
}

template <std::string (*map)(std::string_view)>
Value mapped(Evaluator&, const Value& self, const Arguments& arguments) {
  no_arguments("method", arguments);
  charge(int64_t(self.text().size() / 8));
  return like(self, map(self.text()));
}

// All characters pass, and there is one.
template <bool (*pass)(char32_t)>
Value all_are(Evaluator&, const Value& self, const Arguments& arguments) {
  no_arguments("method", arguments);
  const std::string_view text = self.text();
  charge(int64_t(text.size() / 8));
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (!pass(c.value)) return Value(false);
    at += c.size;
  }
  return Value(!text.empty());
}
bool ascii_character(char32_t c) {
  return c < 0x80;
}

Value is_ascii(Evaluator& e, const Value& self, const Arguments& arguments) {
  return self.text().empty() ? Value(true) : all_are<ascii_character>(e, self, arguments);
}
Value is_printable_text(Evaluator& e, const Value& self, const Arguments& arguments) {
  return self.text().empty() ? Value(true) : all_are<is_printable>(e, self, arguments);
}
Value is_identifier_text(Evaluator&, const Value& self, const Arguments& arguments) {
  no_arguments("isidentifier", arguments);
  return Value(is_identifier(self.text()));
}

// No character of the other case, and at least one of this.
template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value cased(Evaluator&, const Value& self, const Arguments& arguments) {
  no_arguments("method", arguments);
  bool any = false;
  const std::string_view text = self.text();
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (other(c.value) || is_title(c.value)) return Value(false);
    any = any || wanted(c.value);
    at += c.size;
  }
  return Value(any);
}

Value is_title_text(Evaluator&, const Value& self, const Arguments& arguments) {
  no_arguments("istitle", arguments);
  bool any = false, in_word = false;
  const std::string_view text = self.text();
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const bool upper = is_upper(c.value) || is_title(c.value), lower = is_lower(c.value);
    if ((upper && in_word) || (lower && !in_word)) return Value(false);
    in_word = upper || lower;
    any = any || in_word;
    at += c.size;
  }
  return Value(any);
}

template <bool left, bool right>
Value stripped(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("strip", arguments, {"chars"});
  const Value chars = a.given(0) ? a[0] : Value::none();
  return strip_characters(self, chars, left, right);
}

Value split_left(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("split", arguments, {"sep", "maxsplit"});
  return split(self, a.given(0) ? a[0] : Value::none(), a.integer(1, -1), false);
}
Value split_right(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("rsplit", arguments, {"sep", "maxsplit"});
  return split(self, a.given(0) ? a[0] : Value::none(), a.integer(1, -1), true);
}
Value splitlines(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("splitlines", arguments, {"keepends"});
  Values lines;
  for (const std::string_view line : split_lines(self.text(), a.flag(0, false)))
    lines.push_back(like(self, std::string(line)));
  return make_list(std::move(lines));
}

Value partition(Evaluator&, const Value& self, const Arguments& arguments, bool from_right) {
  const BoundArguments a("partition", arguments, {"sep"}, 1);
  const std::string_view text = self.text(), separator = require_text(a[0], "separator");
  if (separator.empty()) fail_value("empty separator");
  charge(int64_t(text.size() / 64));
  const size_t at = from_right ? find_last(text, separator) : find_first(text, separator, 0);
  const auto part = [&](std::string_view piece) { return like(self, std::string(piece)); };
  if (at == std::string_view::npos)
    return from_right ? make_tuple({part(""), part(""), self}) : make_tuple({self, part(""), part("")});
  return make_tuple({part(text.substr(0, at)), part(separator), part(text.substr(at + separator.size()))});
}
Value partition_left(Evaluator& e, const Value& self, const Arguments& arguments) {
  return partition(e, self, arguments, false);
}
Value partition_right(Evaluator& e, const Value& self, const Arguments& arguments) {
  return partition(e, self, arguments, true);
}

Value join(Evaluator&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.size() != 1 || !arguments.keywords.empty())
    fail_type("str.join() takes exactly one argument (" + std::to_string(arguments.positional.size()) + " given)");
  if (!iterable(arguments.positional[0])) fail_type("can only join an iterable");
  std::string out;
  Cursor cursor(arguments.positional[0]);
  int64_t i = 0;
  for (Value item; cursor.next(item); ++i) {
    if (i > 0) out += self.text();
    if (self.markup())
      out += escape(item).text();
    else if (item.is_string())
      out += item.text();
    else
      fail_type("sequence item " + std::to_string(i) + ": expected str instance, " + type_name(item) + " found");
    check_string_size(double(out.size()));
    charge(1);
  }
  return like(self, std::move(out));
}

Value replace(Evaluator&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.size() < 2)
    fail_type("replace expected at least 2 arguments, got " + std::to_string(arguments.positional.size()));
  const BoundArguments a("replace", arguments, {"old", "new", "count"}, 2);
  require_text(a[0], "replace() argument 1");
  require_text(a[1], "replace() argument 2");
  const Value replacement = self.markup() ? escape(a[1]) : a[1];
  return like(self, replace_text(self.text(), a[0].text(), replacement.text(), a.integer(2, -1)));
}

// The part of the text that the optional start and end arguments name, and where it begins in code points.
struct Window {
  std::string_view text;
  int64_t begin = 0;
  bool empty_range = false;  // start is behind the end: not even "" is found
};
Window window(const Value& self, const BoundArguments& a, size_t first) {
  if (!a.given(first)) return {self.text(), 0, false};
  const int64_t size = length(self);
  const auto bound = [&](size_t i, int64_t otherwise) {
    if (!a.given(i) || a[i].is_none()) return otherwise;
    const int64_t b = to_index(a[i]);
    return b < 0 ? std::max<int64_t>(b + size, 0) : b;
  };
  const int64_t from = bound(first, 0), to = std::min(bound(first + 1, size), size);
  if (from > to) return {{}, from, true};
  size_t begin = 0;
  for (int64_t i = 0; i < from; ++i) begin += decode_utf8(self.text(), begin).size;
  size_t end = begin;
  for (int64_t i = from; i < to; ++i) end += decode_utf8(self.text(), end).size;
  charge(to / 16);
  return {self.text().substr(begin, end - begin), from, false};
}

int64_t position_of(const Value& self, const Arguments& arguments, const char* name, bool from_right) {
  const BoundArguments a(name, arguments, {"sub", "start", "end"}, 1);
  const std::string_view part = require_text(a[0], "argument");
  const Window w = window(self, a, 1);
  charge(int64_t(w.text.size() / 64));
  if (w.empty_range) return -1;
  const size_t at = from_right ? find_last(w.text, part) : find_first(w.text, part, 0);
  return at == std::string_view::npos ? -1 : w.begin + int64_t(utf8_length(w.text.substr(0, at)));
}

template <bool from_right, bool required>
Value found(Evaluator&, const Value& self, const Arguments& arguments) {
  const int64_t at = position_of(self, arguments, "find", from_right);
  if (required && at < 0) fail_value("substring not found");
  return Value(at);
}

Value count(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("count", arguments, {"sub", "start", "end"}, 1);
  const std::string_view part = require_text(a[0], "argument");
  const Window w = window(self, a, 1);
  if (w.empty_range) return Value(int64_t(0));
  charge(int64_t(w.text.size() / 16));
  if (part.empty()) return Value(int64_t(utf8_length(w.text)) + 1);
  int64_t n = 0;
  for (size_t at = find_first(w.text, part, 0); at != std::string_view::npos;
       at = find_first(w.text, part, at + part.size()))
    ++n;
  return Value(n);
}

template <bool at_end>
Value begins_or_ends(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a(at_end ? "endswith" : "startswith", arguments, {"prefix", "start", "end"}, 1);
  const Window w = window(self, a, 1);
  const auto matches = [&](const Value& affix) {
    if (affix.is(Type::undefined)) fail_undefined(affix);
    if (!affix.is_string())
      fail_type(std::string(at_end ? "endswith" : "startswith") +
                " first arg must be str or a tuple of str, not " + type_name(affix));
    return !w.empty_range && (at_end ? w.text.ends_with(affix.text()) : w.text.starts_with(affix.text()));
  };
  if (!a[0].is(Type::tuple)) return Value(matches(a[0]));
  const auto& items = a[0].list().items;
  return Value(std::any_of(items.begin(), items.end(), matches));
}

template <bool suffix>
Value without_affix(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a(suffix ? "removesuffix" : "removeprefix", arguments, {"affix"}, 1);
  std::string_view text = self.text();
  const std::string_view affix = require_text(a[0], "argument");
  if (suffix && text.ends_with(affix))
    text.remove_suffix(affix.size());
  else if (!suffix && text.starts_with(affix))
    text.remove_prefix(affix.size());
  return like(self, std::string(text));
}

template <char align>
Value padded(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("center", arguments, {"width", "fillchar"}, 1);
  const std::string fill = a.given(1) ? std::string(require_text(a[1], "the fill character")) : " ";
  if (utf8_length(fill) != 1) fail_type("The fill character must be exactly one character long");
  const int64_t width = to_index(a[0]);
  if (align != '^') return like(self, pad(std::string(self.text()), width, fill, align));
  return like(self, center_text(self, width, fill));
}

Value zero_filled(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("zfill", arguments, {"width"}, 1);
  std::string text(self.text());
  const int64_t missing = to_index(a[0]) - int64_t(utf8_length(text));
  if (missing <= 0) return self;
  check_string_size(double(missing));
  return like(self, text.insert(text[0] == '-' || text[0] == '+' ? 1 : 0, std::string(size_t(missing), '0')));
}

Value expand_tabs(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("expandtabs", arguments, {"tabsize"});
  const int64_t size = a.integer(0, 8);
  std::string out;
  int64_t column = 0;
  const std::string_view text = self.text();
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.value == '\t') {
      const int64_t blanks = size > 0 ? size - column % size : 0;
      check_string_size(double(out.size()) + double(blanks));
      out.append(size_t(blanks), ' ');
      column += blanks;
    } else {
      out.append(text, at, c.size);
      column = c.value == '\n' || c.value == '\r' ? 0 : column + 1;
    }
    at += c.size;
  }
  return like(self, std::move(out));
}

class Bytes : public Opaque {
 public:
  explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string type_name() const override { return "bytes"; }
  int64_t length() const override { return int64_t(bytes_.size()); }
  std::string repr() const override {
    const char quote =
        bytes_.find('\'') != std::string::npos && bytes_.find('"') == std::string::npos ? '"' : '\'';
    std::string out = std::string("b") + quote;
    for (const char c : bytes_) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == quote || c == '\\')
        out += {'\\', c};
      else if (c == '\n')
        out += "\\n";
      else if (c == '\r')
        out += "\\r";
      else if (c == '\t')
        out += "\\t";
      else if (byte >= 0x20 && byte < 0x7f)
        out += c;
      else
        out += {'\\', 'x', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
    }
    return out + quote;
  }

 private:
  std::string bytes_;
};

Value encode(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("encode", arguments, {"encoding", "errors"});
  const std::string encoding = to_lower(a.text(0, "utf-8"));
  if (encoding != "utf-8" && encoding != "utf8" && !(encoding == "ascii" && self.ascii()))
    fail(Cause::lookup, "unknown encoding: " + encoding);
  return Value(new Bytes(std::string(self.text())));
}

Value format(Evaluator& evaluator, const Value& self, const Arguments& arguments) {
  return format_braces(evaluator, self, arguments);
}

constexpr StringMethod methods[] = {
    {"capitalize", mapped<capitalize>},
    {"casefold", mapped<case_fold>},
    {"center", padded<'^'>},
    {"count", count},
    {"encode", encode},
    {"endswith", begins_or_ends<true>},
    {"expandtabs", expand_tabs},
    {"find", found<false, false>},
    {"format", format},
    {"index", found<false, true>},
    {"isalnum", all_are<is_alnum>},
    {"isalpha", all_are<is_alpha>},
    {"isascii", is_ascii},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_digit>},
    {"isidentifier", is_identifier_text},
    {"islower", cased<is_lower, is_upper>},
    {"isnumeric", all_are<is_numeric>},
    {"isprintable", is_printable_text},
    {"isspace", all_are<is_space>},
    {"istitle", is_title_text},
    {"isupper", cased<is_upper, is_lower>},
    {"join", join},
    {"ljust", padded<'<'>},
    {"lower", mapped<to_lower>},
    {"lstrip", stripped<true, false>},
    {"partition", partition_left},
    {"removeprefix", without_affix<false>},
    {"removesuffix", without_affix<true>},
    {"replace", replace},
    {"rfind", found<true, false>},
    {"rindex", found<true, true>},
    {"rjust", padded<'>'>},
    {"rpartition", partition_right},
    {"rsplit", split_right},
    {"rstrip", stripped<false, true>},
    {"split", split_left},
    {"splitlines", splitlines},
    {"startswith", begins_or_ends<false>},
    {"strip", stripped<true, true>},
    {"swapcase", mapped<swap_case>},
    {"title", mapped<to_title>},
    {"upper", mapped<to_upper>},
    {"zfill", zero_filled},
};

}  // namespace

std::span<const StringMethod> string_methods() {
  return methods;
}

}  // namespace chorus::jinja
