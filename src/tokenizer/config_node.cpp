#include "tokenizer/config_node.h"

#include <limits>

#include "base/json.h"
#include "base/utf8.h"

namespace chorus::tokenizer {

bool ConfigNode::has(std::string_view key) const {
  if (!value_.is_object()) throw invalid("an object");
  const auto found = value_.find(std::string(key));
  return found != value_.end() && !found->is_null();
}

ConfigNode ConfigNode::child(std::string_view key) const {
  if (!has(key)) {
    throw Error(Fault::model, "a field is missing").with("part", path_).with("field", key);
  }
  return {*value_.find(std::string(key)), path_ + "." + std::string(key)};
}

std::vector<ConfigNode> ConfigNode::list(std::string_view key) const {
  const ConfigNode node = child(key);
  if (!node.value_.is_array()) throw node.invalid("an array");
  std::vector<ConfigNode> items;
  for (size_t i = 0; i < node.value_.size(); ++i)
    items.emplace_back(node.value_[i], node.path_ + "[" + std::to_string(i) + "]");
  return items;
}

std::string ConfigNode::string(std::string_view key) const {
  const ConfigNode node = child(key);
  if (!node.value_.is_string()) throw node.invalid("a string");
  return node.value_.get<std::string>();
}

std::string ConfigNode::string_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? string(key) : std::string(otherwise);
}

bool ConfigNode::boolean(std::string_view key) const {
  const ConfigNode node = child(key);
  if (!node.value_.is_boolean()) throw node.invalid("true or false");
  return node.value_.get<bool>();
}

bool ConfigNode::boolean_or(std::string_view key, bool otherwise) const {
  return has(key) ? boolean(key) : otherwise;
}

int32_t ConfigNode::integer(std::string_view key) const {
  const ConfigNode node = child(key);
  const Json& v = node.value_;
  if (!v.is_number_integer() ||
      (v.is_number_unsigned() && v.get<uint64_t>() > std::numeric_limits<int32_t>::max()) || v.get<int64_t>() < 0)
    throw node.invalid("a whole number from 0 to 2147483647");
  return v.get<int32_t>();
}

int32_t ConfigNode::integer_or(std::string_view key, int32_t otherwise) const {
  return has(key) ? integer(key) : otherwise;
}

char32_t ConfigNode::character(std::string_view key) const {
  const std::string text = string(key);
  if (text.empty() || decode_utf8(text, 0).size != text.size()) throw child(key).invalid("one character");
  return decode_utf8(text, 0).value;
}

Error ConfigNode::unsupported(std::string_view what) const {
  return Error(Fault::model, "the tokenizer has a part that chorus does not support")
      .with("part", path_)
      .with("unsupported", what);
}

Error ConfigNode::invalid(std::string_view expected) const {
  std::string actual = to_json_line(value_);
  if (actual.size() > 80)
    actual = actual.substr(0, complete_utf8_prefix(std::string_view(actual).substr(0, 77))) + "...";
  return Error(Fault::model, "the tokenizer has a part that is not valid")
      .with("part", path_)
      .with("expected", expected)
      .with("actual", actual);
}

}  // namespace chorus::tokenizer
