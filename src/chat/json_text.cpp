#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "base/utf8.h"
#include "chat/callables.h"
#include "chat/failure.h"
#include "chat/filters.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

// Python's json.dumps.
class JsonWriter {
 public:
  bool ensure_ascii = false, sort_keys = false, indented = false;
  std::string indent, item_separator = ", ", key_separator = ": ";

  void write(const Value& value, int level);
  std::string out;

 private:
  void write_string(std::string_view text);
  size_t plain_end(std::string_view text, size_t at) const;
  size_t write_escape(std::string_view text, size_t at);
  void write_unit(uint16_t unit);
  void write_real(double value);
  void write_key(const Value& key);
  void write_items(const Values& items, int level);
  void write_dict(const Dict& dict, int level);
  void write_dict(const Dict::Items& items, int level);
  void new_line(int level);
};

void JsonWriter::write_unit(uint16_t unit) {
  char escape[12];
  std::snprintf(escape, sizeof escape, "\\u%04x", unit);
  out += escape;
}

// How far the text goes on as it is.
size_t JsonWriter::plain_end(std::string_view text, size_t at) const {
  constexpr uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
  static_assert(std::endian::native == std::endian::little);
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof word);
    // The lowest high bit that is set is of the first byte that is below 0x20, '"' or '\\'.
    const uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t special = ((word - ones * 0x20) | (quote - ones) | (slash - ones)) & ~word & high;
    if (ensure_ascii) special |= (word | ((word ^ ones * 0x7f) - ones)) & high;  // from 0x7f on
    if (special != 0) return at + size_t(std::countr_zero(special)) / 8;
  }
  for (; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x20 || c == '"' || c == '\\' || (ensure_ascii && c >= 0x7f)) break;
  }
  return at;
}

void JsonWriter::write_string(std::string_view text) {
  charge(int64_t(text.size() / 32));
  check_string_size(out.size() + text.size());
  out += '"';
  for (size_t at = 0;;) {
    const size_t end = plain_end(text, at);
    out.append(text, at, end - at);
    if (end == text.size()) break;
    at = end + write_escape(text, end);
  }
  out += '"';
}

// Writes the character at that place, and returns how many bytes it has.
size_t JsonWriter::write_escape(std::string_view text, size_t at) {
  const char c = text[at];
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\f':
      out += "\\f";
      break;
    case '\b':
      out += "\\b";
      break;
    default: {
      const CodePoint p = decode_utf8(text, at);
      if (p.value >= 0x10000) {
        write_unit(uint16_t(0xd800 + ((p.value - 0x10000) >> 10)));
        write_unit(uint16_t(0xdc00 + ((p.value - 0x10000) & 0x3ff)));
      } else {
        write_unit(uint16_t(p.value));
      }
      return p.size;
    }
  }
  return 1;
}

void JsonWriter::write_real(double value) {
  if (std::isnan(value))
    out += "NaN";
  else if (std::isinf(value))
    out += value > 0 ? "Infinity" : "-Infinity";
  else
    out += float_text(value);
}

void JsonWriter::new_line(int level) {
  if (!indented) return;
  check_string_size(double(out.size()) + double(indent.size()) * level);
  out += '\n';
  for (int i = 0; i < level; ++i) out += indent;
}

void JsonWriter::write_key(const Value& key) {
  switch (key.type()) {
    case Type::string:
      write_string(key.text());
      return;
    case Type::none:
      out += "\"null\"";
      return;
    case Type::boolean:
      out += key.boolean() ? "\"true\"" : "\"false\"";
      return;
    case Type::integer:
    case Type::big_integer:
      out += '"' + repr(key) + '"';
      return;
    case Type::real:
      out += '"';
      write_real(key.real());
      out += '"';
      return;
    default:
      fail_type("keys must be str, int, float, bool or None, not " + type_name(key));
  }
}

void JsonWriter::write_items(const Values& items, int level) {
  if (items.empty()) {
    out += "[]";
    return;
  }
  out += '[';
  bool first = true;
  for (const Value& item : items) {
    if (!first) out += item_separator;
    first = false;
    new_line(level + 1);
    write(item, level + 1);
  }
  new_line(level);
  out += ']';
}

void JsonWriter::write_dict(const Dict& dict, int level) {
  if (!sort_keys) {
    write_dict(dict.items(), level);
    return;
  }
  Dict::Items sorted = dict.items();
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Dict::Item& a, const Dict::Item& b) { return less(a.first, b.first); });
  write_dict(sorted, level);
}

void JsonWriter::write_dict(const Dict::Items& items, int level) {
  if (items.empty()) {
    out += "{}";
    return;
  }
  out += '{';
  bool first = true;
  for (const auto& [key, value] : items) {
    if (!first) out += item_separator;
    first = false;
    new_line(level + 1);
    write_key(key);
    out += key_separator;
    write(value, level + 1);
  }
  new_line(level);
  out += '}';
}

void JsonWriter::write(const Value& value, int level) {
  charge(1);
  switch (value.type()) {
    case Type::none:
      out += "null";
      return;
    case Type::boolean:
      out += value.boolean() ? "true" : "false";
      return;
    case Type::integer:
    case Type::big_integer:
      append_repr(out, value);
      return;
    case Type::real:
      write_real(value.real());
      return;
    case Type::string:
      write_string(value.text());
      return;
    case Type::list:
    case Type::tuple: {
      const DepthGuard guard;
      write_items(value.list().items, level);
      return;
    }
    case Type::dict: {
      const DepthGuard guard;
      write_dict(value.dict(), level);
      return;
    }
    default:
      fail_type("Object of type " + type_name(value) + " is not JSON serializable");
  }
}

std::string separator_text(const Value& value) {
  if (!value.is_string()) fail_type("separators must be strings, not " + type_name(value));
  return std::string(value.text());
}

}  // namespace

Value filter_tojson(Evaluator&, const Value& value, const Arguments& arguments) {
  const BoundArguments a("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonWriter writer;
  writer.ensure_ascii = a.flag(0, false);
  writer.sort_keys = a.flag(3, false);
  if (a.given(1) && !a[1].is_none()) {
    writer.indented = true;
    writer.item_separator = ",";
    if (a[1].is_string()) {
      writer.indent = std::string(a[1].text());
    } else {
      const int64_t width = to_index(a[1]);
      check_string_size(double(width));
      writer.indent.assign(size_t(std::max<int64_t>(width, 0)), ' ');
    }
  }
  if (a.given(2) && !a[2].is_none()) {
    const Values pair = to_vector(a[2]);
    if (pair.size() != 2) fail_value("separators are two, not " + std::to_string(pair.size()));
    writer.item_separator = separator_text(pair[0]);
    writer.key_separator = separator_text(pair[1]);
  }
  writer.write(value, 0);
  return make_string(std::move(writer.out));
}

}  // namespace chorus::jinja
