// Arguments of tool calls stay as the model wrote them, so their text is cut out, not printed anew.
#include "harmony/json_text.h"

#include <algorithm>

namespace chorus::harmony {
namespace {

constexpr std::string_view spaces = " \t\r\n";

size_t skip_spaces(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(spaces, at), text.size());
}

// The end of the value that begins at text[at], inside of valid JSON.
size_t end_of_value(std::string_view text, size_t at) {
  if (text[at] == '{' || text[at] == '[') {
    JsonExtent extent;
    return at + extent.take(text.substr(at));
  }
  if (text[at] != '"') return std::min(text.find_first_of(",]} \t\r\n", at), text.size());
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\') ++i;
  }
  return text.size();
}

}  // namespace

size_t JsonExtent::take(std::string_view piece) {
  for (size_t i = 0; i < piece.size(); ++i) {
    const char c = piece[i];
    if (in_string_) {
      if (!escaped_ && c == '"') in_string_ = false;
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      began_ = true;
      ++depth_;
    } else if ((c == '}' || c == ']') && depth_ > 0 && --depth_ == 0) {
      return i + 1;
    }
  }
  return piece.size();
}

void JsonExtent::take_all(std::string_view piece) {
  while (!piece.empty()) piece.remove_prefix(take(piece));
}

size_t end_of_json(std::string_view text, size_t at) {
  if (at >= text.size() || (text[at] != '{' && text[at] != '[')) return text.npos;
  JsonExtent extent;
  const size_t size = extent.take(text.substr(at));
  if (!extent.complete() || !Json::accept(text.substr(at, size))) return text.npos;
  return at + size;
}

void for_each_member(std::string_view object, FunctionRef<void(const std::string&, std::string_view)> member) {
  for (size_t at = skip_spaces(object, 1); at < object.size() && object[at] == '"';) {
    const size_t key_end = end_of_value(object, at);
    const auto key = Json::parse(object.substr(at, key_end - at)).get<std::string>();
    const size_t value = skip_spaces(object, skip_spaces(object, key_end) + 1);  // behind the colon
    const size_t value_end = end_of_value(object, value);
    member(key, object.substr(value, value_end - value));
    at = skip_spaces(object, skip_spaces(object, value_end) + 1);  // behind the comma
  }
}

void for_each_element(std::string_view array, FunctionRef<void(std::string_view)> element) {
  for (size_t at = skip_spaces(array, 1); at < array.size() && array[at] != ']';) {
    const size_t end = end_of_value(array, at);
    element(array.substr(at, end - at));
    at = skip_spaces(array, end);
    if (at < array.size() && array[at] == ',') at = skip_spaces(array, at + 1);
  }
}

}  // namespace chorus::harmony
