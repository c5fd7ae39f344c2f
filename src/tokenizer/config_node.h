#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chorus/error.h"
#include "chorus/json.h"

namespace chorus::tokenizer {

/// One object of tokenizer.json with its place in the file, so that every complaint names it
/// ("pre_tokenizer.pretokenizers[1].pattern"). Borrows the JSON.
class ConfigNode {
 public:
  ConfigNode(const Json& value, std::string path) : value_(value), path_(std::move(path)) {}

  const Json& value() const { return value_; }
  const std::string& path() const { return path_; }

  bool has(std::string_view key) const;  ///< present and not null
  ConfigNode child(std::string_view key) const;
  std::vector<ConfigNode> list(std::string_view key) const;
  std::string type() const { return string("type"); }

  std::string string(std::string_view key) const;
  std::string string_or(std::string_view key, std::string_view otherwise) const;
  bool boolean(std::string_view key) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  int32_t integer(std::string_view key) const;  ///< 0 <= value <= 2^31 - 1
  int32_t integer_or(std::string_view key, int32_t otherwise) const;
  char32_t character(std::string_view key) const;  ///< a string of one code point

  Error unsupported(std::string_view what) const;
  Error invalid(std::string_view expected) const;  ///< this value is not what was expected

 private:
  const Json& value_;
  std::string path_;
};

}  // namespace chorus::tokenizer
