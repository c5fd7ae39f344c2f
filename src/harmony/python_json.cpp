#include "harmony/python_json.h"

#include <fmt/format.h>

#include <cmath>

#include "base/json.h"

namespace chorus::harmony {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  std::string text = fmt::format("{}", value);  // the shortest that reads back, as Python's repr
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return text;
}

void write(const Json& value, std::string& out) {
  const char* separator = "";
  if (value.is_object()) {
    out += '{';
    for (const auto& [key, member] : value.items()) {
      out += separator;
      out += to_json_line(key) + ": ";
      write(member, out);
      separator = ", ";
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    for (const Json& element : value) {
      out += separator;
      write(element, out);
      separator = ", ";
    }
    out += ']';
  } else {
    out += value.is_number_float() ? number(value.get<double>()) : to_json_line(value);
  }
}

}  // namespace

std::string python_json(const Json& value) {
  std::string out;
  write(value, out);
  return out;
}

}  // namespace chorus::harmony
