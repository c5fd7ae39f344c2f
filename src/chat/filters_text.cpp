#include <algorithm>

#include "base/utf8.h"
#include "chat/callables.h"
#include "chat/failure.h"
#include "chat/filters.h"
#include "chat/format.h"
#include "chat/limits.h"
#include "chat/operations.h"
#include "chat/string_split.h"
#include "chat/unicode.h"
#include "chat/word_wrap.h"

namespace chorus::jinja {
namespace {

Value like(const Value& text, std::string result) {
  return make_string(std::move(result), text.markup());
}

template <std::string (*map)(std::string_view)>
Value mapped(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("filter", arguments, {});
  const Value text = soft_string(input);
  charge(int64_t(text.text().size() / 8));
  return like(text, map(text.text()));
}

// Upper case begins after blanks, hyphens and opening brackets, unlike in str.title.
std::string title_words(std::string_view text) {
  std::string out;
  bool begins = true;
  std::string word;
  const auto flush = [&] {
    if (word.empty()) return;
    const size_t first = decode_utf8(word, 0).size;
    out += to_upper(std::string_view(word).substr(0, first));
    out += to_lower(std::string_view(word).substr(first));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const bool separates = c.value == '-' || c.value == '(' || c.value == '{' || c.value == '[' ||
                           c.value == '<' || is_space(c.value);
    if (separates != begins) flush();
    word.append(text, at, c.size);
    begins = separates;
    at += c.size;
  }
  flush();
  return out;
}

Value trim(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("trim", arguments, {"chars"});
  return strip_characters(soft_string(input), a.given(0) ? a[0] : Value::none(), true, true);
}

Value string(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("string", arguments, {});
  return soft_string(input);
}

Value replace(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("replace", arguments, {"old", "new", "count"}, 2);
  const int64_t limit = a.given(2) && !a[2].is_none() ? to_index(a[2]) : -1;
  if (!evaluator.autoescape())
    return make_string(replace_text(to_text(input), to_text(a[0]), to_text(a[1]), limit));
  const bool markup = (input.is_string() && input.markup()) || (a[0].is_string() && a[0].markup()) ||
                      (a[1].is_string() && a[1].markup());
  if (!markup) return make_string(replace_text(to_text(input), to_text(a[0]), to_text(a[1]), limit));
  return make_string(replace_text(escape(input).text(), to_text(a[0]), escape(a[1]).text(), limit), true);
}

Value center(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("center", arguments, {"width"});
  const Value text = soft_string(input);
  return like(text, center_text(text, a.integer(0, 80), " "));
}

Value indent(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("indent", arguments, {"width", "first", "blank"});
  if (input.is(Type::undefined)) fail_undefined(input);
  if (!input.is_string()) fail_type("unsupported operand type(s) for +=: '" + type_name(input) + "' and 'str'");
  std::string indention;
  if (a.given(0) && a[0].is_string()) {
    indention = std::string(a[0].text());
  } else {
    const int64_t width = a.integer(0, 4);
    check_string_size(double(width));
    indention.assign(size_t(std::max<int64_t>(width, 0)), ' ');
  }
  const std::string text = std::string(input.text()) + "\n";  // so that a newline at the end stays
  const bool blank = a.flag(2, false);
  std::string out = a.flag(1, false) ? indention : "";
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!first) {
      out += '\n';
      if (blank || !line.empty()) out += indention;
    }
    first = false;
    out += line;
    check_string_size(double(out.size()));
  }
  return like(input, std::move(out));
}

Value truncate(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("truncate", arguments, {"length", "killwords", "end", "leeway"});
  if (input.is(Type::undefined)) return input;
  const int64_t limit = a.integer(0, 255), leeway = a.given(3) && !a[3].is_none() ? to_index(a[3]) : 5;
  const Value end = make_string(a.text(2, "..."));
  if (limit < length(end))
    fail(Cause::other, "expected length >= " + std::to_string(length(end)) + ", got " + std::to_string(limit));
  if (leeway < 0) fail(Cause::other, "expected leeway >= 0, got " + std::to_string(leeway));
  if (length(input) <= limit + leeway) return input;
  Value cut = slice(input, Value::none(), Value(limit - length(end)), Value::none());
  if (!cut.is_string()) fail_type("truncate works on strings, not " + type_name(input));
  if (!a.flag(1, false)) {
    const size_t blank = cut.text().rfind(' ');
    cut = like(cut, std::string(cut.text().substr(0, blank)));
  }
  return add(cut, end);
}

Value wordwrap(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("wordwrap", arguments, {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  if (input.is(Type::undefined)) fail_undefined(input);
  if (!input.is_string()) fail_type("'" + type_name(input) + "' object has no attribute 'splitlines'");
  const Value separator_value = a.given(2) && !a[2].is_none() ? a[2] : make_string("\n");
  if (separator_value.is(Type::undefined)) fail_undefined(separator_value);
  if (!separator_value.is_string())
    fail_type("'" + type_name(separator_value) + "' object has no attribute 'join'");
  const std::string_view separator = separator_value.text();
  const int64_t width = a.integer(0, 79);
  std::string out;
  bool first = true;
  for (const std::string_view line : split_lines(input.text(), false)) {
    if (!first) out += separator;
    first = false;
    bool first_piece = true;
    for (const std::string& piece : wrap_words(line, width, a.flag(1, true), a.flag(3, true))) {
      if (!first_piece) out += separator;
      first_piece = false;
      out += piece;
    }
    check_string_size(double(out.size()));
  }
  return make_string(std::move(out));
}

Value wordcount(Evaluator&, const Value& input, const Arguments&) {
  const Value text = soft_string(input);
  charge(int64_t(text.text().size() / 8));
  int64_t words = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.text().size();) {
    const CodePoint c = decode_utf8(text.text(), at);
    const bool word = is_word(c.value);
    words += word && !in_word ? 1 : 0;
    in_word = word;
    at += c.size;
  }
  return Value(words);
}

Value format(Evaluator&, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.keywords.empty())
    fail(Cause::other, "can't handle positional and keyword arguments at the same time");
  const Value text = soft_string(input);
  if (arguments.keywords.empty())
    return format_percent(text, make_tuple({arguments.positional.begin(), arguments.positional.end()}));
  auto* dict = new Dict;
  const Value by_name(dict);
  for (const Keyword& keyword : arguments.keywords) dict->set(keyword.name, keyword.value);
  return format_percent(text, by_name);
}

Value pprint(Evaluator&, const Value& input, const Arguments&) {
  return make_string(repr(input));
}

constexpr Filter filters[] = {
    {"capitalize", mapped<capitalize>}, {"center", center},        {"format", format},     {"indent", indent},
    {"lower", mapped<to_lower>},        {"pprint", pprint},        {"replace", replace},   {"string", string},
    {"title", mapped<title_words>},     {"tojson", filter_tojson}, {"trim", trim},         {"truncate", truncate},
    {"upper", mapped<to_upper>},        {"wordcount", wordcount},  {"wordwrap", wordwrap},
};

}  // namespace

std::span<const Filter> text_filters() {
  return filters;
}

}  // namespace chorus::jinja
