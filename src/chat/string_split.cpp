#include "chat/string_split.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"
#include "chat/failure.h"
#include "chat/limits.h"
#include "chat/operations.h"
#include "chat/unicode.h"

namespace chorus::jinja {
namespace {

constexpr size_t npos = std::string_view::npos;

Value piece(const Value& of, std::string_view text) {
  return make_string(std::string(text), of.markup());
}

Values split_at_space(const Value& value, int64_t limit, bool from_right) {
  Values parts;
  std::string_view text = strip(value.text(), !from_right, from_right);
  while (!text.empty()) {
    if (limit >= 0 && int64_t(parts.size()) >= limit) {
      parts.push_back(piece(value, text));
      break;
    }
    if (!from_right) {
      size_t end = 0;
      while (end < text.size() && !is_space(decode_utf8(text, end).value)) end += decode_utf8(text, end).size;
      parts.push_back(piece(value, text.substr(0, end)));
      text = strip(text.substr(end), true, false);
    } else {
      size_t begin = text.size();
      while (begin > 0) {
        size_t before = begin - 1;
        while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xc0) == 0x80) --before;
        if (is_space(decode_utf8(text, before).value)) break;
        begin = before;
      }
      parts.push_back(piece(value, text.substr(begin)));
      text = strip(text.substr(0, begin), false, true);
    }
  }
  return parts;
}

Values split_at(const Value& value, std::string_view separator, int64_t limit, bool from_right) {
  Values parts;
  std::string_view text = value.text();
  while (limit < 0 || int64_t(parts.size()) < limit) {
    const size_t at = from_right ? find_last(text, separator) : find_first(text, separator, 0);
    if (at == npos) break;
    parts.push_back(piece(value, from_right ? text.substr(at + separator.size()) : text.substr(0, at)));
    text = from_right ? text.substr(0, at) : text.substr(at + separator.size());
  }
  parts.push_back(piece(value, text));
  return parts;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

size_t find_first(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return npos;
  if (part.empty()) return from;
  if (from == text.size()) return npos;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? npos : size_t(static_cast<const char*>(found) - text.data());
}

size_t find_last(std::string_view text, std::string_view part) {
  if (part.size() > text.size()) return npos;
  charge(int64_t(part.size() / 8));
  for (size_t at = text.size() - part.size() + 1; at-- > 0;) {
    if (text.compare(at, part.size(), part) == 0) return at;
    if ((at & 63) == 0) charge(1 + int64_t(part.size() / 16));  // the search is naive, so it is paid for
  }
  return npos;
}

Value split(const Value& text, const Value& separator, int64_t limit, bool from_right) {
  charge(int64_t(text.text().size() / 64));
  Values parts;
  if (separator.is_none()) {
    parts = split_at_space(text, limit, from_right);
  } else {
    if (separator.is(Type::undefined)) fail_undefined(separator);
    if (!separator.is_string()) fail_type("must be str or None, not " + type_name(separator));
    if (separator.text().empty()) fail_value("empty separator");
    parts = split_at(text, separator.text(), limit, from_right);
  }
  charge(int64_t(parts.size()));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return make_list(std::move(parts));
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  charge(int64_t(text.size() / 16));
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const size_t end = at;
    at += c.size;
    if (!is_line_end(c.value)) continue;
    if (c.value == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

Value strip_characters(const Value& value, const Value& characters, bool left, bool right) {
  std::string_view text = value.text();
  if (characters.is(Type::undefined)) fail_undefined(characters);
  if (characters.is_none()) {
    text = strip(text, left, right);
  } else {
    if (!characters.is_string()) fail_type("strip arg must be None or str");
    const std::string_view set = characters.text();
    const auto in_set = [&](std::string_view character) { return set.find(character) != npos; };
    while (left && !text.empty()) {
      const size_t size = decode_utf8(text, 0).size;
      if (!in_set(text.substr(0, size))) break;
      text.remove_prefix(size);
      charge(1 + int64_t(set.size() / 64));
    }
    while (right && !text.empty()) {
      size_t last = text.size() - 1;
      while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
      if (!in_set(text.substr(last))) break;
      text.remove_suffix(text.size() - last);
      charge(1 + int64_t(set.size() / 64));
    }
  }
  return text.size() == value.text().size() ? value : piece(value, text);
}

std::string replace_text(std::string_view text, std::string_view old_part, std::string_view new_part,
                         int64_t limit) {
  std::string out;
  charge(int64_t(text.size() / 32));
  size_t at = 0;
  if (old_part.empty()) {  // before every character and at the end
    for (; limit != 0; --limit) {
      out += new_part;
      check_string_size(double(out.size()));
      if (at >= text.size()) return out;
      const size_t size = decode_utf8(text, at).size;
      out.append(text, at, size);
      at += size;
    }
    return out.append(text.substr(at));
  }
  for (; limit != 0; --limit) {
    const size_t found = find_first(text, old_part, at);
    if (found == npos) break;
    out.append(text, at, found - at).append(new_part);
    check_string_size(double(out.size()));
    at = found + old_part.size();
  }
  return out.append(text.substr(at));
}

std::string center_text(const Value& text, int64_t width, std::string_view fill) {
  const int64_t missing = width - length(text);
  if (missing <= 0) return std::string(text.text());
  check_string_size(double(text.text().size()) + double(missing) * double(fill.size()));
  const int64_t left = missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += text.text();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return out;
}

}  // namespace chorus::jinja
