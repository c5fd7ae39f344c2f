#include <algorithm>
#include <cmath>
#include <cstdio>

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
  void write_unit(uint16_t unit);
  void write_real(double value);
  void write_key(const Value& key);
  void write_items(const Values& items, int level);
  void write_dict(const Dict& dict, int level);
  void new_line(int level);
};

void JsonWriter::write_unit(uint16_t unit) {
  char escape[12];
  std::snprintf(escape, sizeof escape, "\\u%04x", unit);
  out += escape;
}

void JsonWriter::write_string(std::string_view text) {
  charge(int64_t(text.size() / 32));
  check_string_size(double(out.size() + text.size()));
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    size_t size = 1;
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
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          write_unit(static_cast<unsigned char>(c));
        } else if (ensure_ascii && static_cast<unsigned char>(c) >= 0x80) {
          const CodePoint p = decode_utf8(text, at);
          size = p.size;
          if (p.value >= 0x10000) {
            write_unit(uint16_t(0xd800 + ((p.value - 0x10000) >> 10)));
            write_unit(uint16_t(0xdc00 + ((p.value - 0x10000) & 0x3ff)));
          } else {
            write_unit(uint16_t(p.value));
          }
        } else {
          out += c;
        }
    }
    at += size;
  }
  out += '"';
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
  if (dict.size() == 0) {
    out += "{}";
    return;
  }
  std::vector<const Dict::Item*> items;
  for (const Dict::Item& item : dict.items()) items.push_back(&item);
  if (sort_keys)
    std::stable_sort(items.begin(), items.end(),
                     [](const Dict::Item* a, const Dict::Item* b) { return less(a->first, b->first); });
  out += '{';
  bool first = true;
  for (const Dict::Item* item : items) {
    if (!first) out += item_separator;
    first = false;
    new_line(level + 1);
    write_key(item->first);
    out += key_separator;
    write(item->second, level + 1);
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
