#include <algorithm>

#include "base/utf8.h"
#include "chat/callables.h"
#include "chat/failure.h"
#include "chat/filters.h"
#include "chat/limits.h"
#include "chat/operations.h"
#include "chat/string_split.h"
#include "chat/unicode.h"
#include "chat/urlize.h"

namespace chorus::jinja {
namespace {

Value filter_escape(Evaluator&, const Value& input, const Arguments&) {
  return escape(input);
}

Value forceescape(Evaluator&, const Value& input, const Arguments&) {
  return make_string(escape_html(to_text(input)), true);
}

Value safe(Evaluator&, const Value& input, const Arguments&) {
  return make_string(to_text(input), true);
}

struct Entity {
  std::string_view name, text;
};
// The entities that escaping makes, and a few that people write by hand.
constexpr Entity entities[] = {
    {"amp", "&"},
    {"lt", "<"},
    {"gt", ">"},
    {"quot", "\""},
    {"apos", "'"},
    {"nbsp", "\xc2\xa0"},
    {"copy", "\xc2\xa9"},
    {"hellip", "\xe2\x80\xa6"},
    {"mdash", "\xe2\x80\x94"},
    {"ndash", "\xe2\x80\x93"},
};

std::string unescape_html(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text[at] == '&' ? text.find(';', at) : std::string_view::npos;
    const std::string_view name =
        end == std::string_view::npos || end - at > 12 ? "" : text.substr(at + 1, end - at - 1);
    char32_t code = 0;
    if (name.size() > 1 && name[0] == '#') {
      const bool hex = (name[1] | 0x20) == 'x';
      for (const char c : name.substr(hex ? 2 : 1)) {
        const char lower = char(c | 0x20);
        const int digit = c >= '0' && c <= '9'                  ? c - '0'
                          : hex && lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                                : -1;
        code = digit < 0 || code > 0x10ffff ? 0x110000 : code * (hex ? 16 : 10) + char32_t(digit);
      }
    }
    const auto* entity =
        std::find_if(std::begin(entities), std::end(entities), [&](const Entity& e) { return e.name == name; });
    if (code != 0 && code < 0x110000 && (code < 0xd800 || code > 0xdfff))
      append_utf8(out, code);
    else if (!name.empty() && entity != std::end(entities))
      out += entity->text;
    else {
      out += text[at++];
      continue;
    }
    at = end + 1;
  }
  return out;
}

// Comments and tags go, runs of white space become one blank.
Value striptags(Evaluator&, const Value& input, const Arguments&) {
  std::string text = to_text(input);
  charge(int64_t(text.size() / 8));
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    const bool comment = text.compare(at, 4, "<!--") == 0;
    const size_t end = comment ? text.find("-->", at) : text[at] == '<' ? text.find('>', at) : std::string::npos;
    if (end == std::string::npos)
      kept += text[at++];
    else
      at = end + (comment ? 3 : 1);
  }
  std::string out;
  const Value words = split(make_string(kept), Value::none(), -1, false);
  for (const Value& word : words.list().items) {
    if (!out.empty()) out += ' ';
    out += word.text();
  }
  return make_string(unescape_html(out));
}

std::string quote_url(std::string_view text, bool query) {
  static constexpr std::string_view kept = "_.-~";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || kept.find(c) != std::string_view::npos || (c == '/' && !query))
      out += c;
    else if (c == ' ' && query)
      out += '+';
    else
      out += {'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
  }
  return out;
}

Value urlencode(Evaluator&, const Value& input, const Arguments&) {
  if (input.is_string() || !iterable(input)) return make_string(quote_url(to_text(input), false));
  std::string out;
  const auto pair = [&](const Value& key, const Value& value) {
    if (!out.empty()) out += '&';
    out += quote_url(to_text(key), true) + "=" + quote_url(to_text(value), true);
    check_string_size(double(out.size()));
  };
  if (input.is(Type::dict)) {
    for (const auto& [key, value] : input.dict().items()) pair(key, value);
  } else {
    Cursor cursor(input);
    for (Value item; cursor.next(item);) {
      const Values parts = to_vector(item);
      if (parts.size() != 2)
        fail_value("not enough values to unpack (expected 2, got " + std::to_string(parts.size()) + ")");
      pair(parts[0], parts[1]);
    }
  }
  return make_string(std::move(out));
}

Value xmlattr(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("xmlattr", arguments, {"autospace"});
  if (input.is(Type::undefined)) fail_undefined(input);
  if (!input.is(Type::dict)) fail_type("'" + type_name(input) + "' object has no attribute 'items'");
  std::string out;
  for (const auto& [key, value] : input.dict().items()) {
    if (value.is_none() || value.is(Type::undefined)) continue;
    const std::string name = to_text(key);
    for (size_t at = 0; at < name.size();) {
      const CodePoint c = decode_utf8(name, at);
      if (is_space(c.value) || c.value == '/' || c.value == '>' || c.value == '=')
        fail_value("Invalid character in attribute name: " + repr(key));
      at += c.size;
    }
    if (!out.empty()) out += ' ';
    out += std::string(escape(key).text()) + "=\"" + std::string(escape(value).text()) + "\"";
  }
  if (a.flag(0, true) && !out.empty()) out.insert(0, 1, ' ');
  return make_string(std::move(out), evaluator.autoescape());
}

Value filter_urlize(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("urlize", arguments, {"trim_url_limit", "nofollow", "target", "rel", "extra_schemes"});
  UrlizeOptions options;
  if (a.given(0) && !a[0].is_none()) options.trim_limit = to_index(a[0]);
  std::vector<std::string> rel{"noopener"};
  if (a.flag(1, false)) rel.push_back("nofollow");
  if (a.given(3) && truthy(a[3])) {
    const Value words = split(soft_string(a[3]), Value::none(), -1, false);
    for (const Value& word : words.list().items) rel.emplace_back(word.text());
  }
  std::sort(rel.begin(), rel.end());
  rel.erase(std::unique(rel.begin(), rel.end()), rel.end());
  for (const std::string& word : rel) options.rel += (options.rel.empty() ? "" : " ") + word;
  if (a.given(2) && !a[2].is_none()) options.target = to_text(a[2]);
  if (a.given(4) && truthy(a[4]))
    for (const Value& scheme : to_vector(a[4])) options.schemes.push_back(to_text(scheme));
  return make_string(urlize(to_text(input), options), evaluator.autoescape());
}

constexpr Filter filters[] = {
    {"e", filter_escape},     {"escape", filter_escape}, {"forceescape", forceescape}, {"safe", safe},
    {"striptags", striptags}, {"urlencode", urlencode},  {"urlize", filter_urlize},    {"xmlattr", xmlattr},
};

}  // namespace

std::span<const Filter> html_filters() {
  return filters;
}

}  // namespace chorus::jinja
