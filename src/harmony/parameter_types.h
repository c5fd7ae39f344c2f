#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "chorus/json.h"

namespace chorus::harmony {

/// What the tools of a prompt declare their parameters to be: models that write arguments as tags (Qwen3-Coder, GLM)
/// write no types with them.
class ParameterTypes {
 public:
  ParameterTypes() = default;
  /// A list of tools in OpenAI's form; whatever is not one says nothing.
  explicit ParameterTypes(const Json& tools);

  /// The JSON that the text of a value is: of a declared type where it can be, otherwise by its looks: what is JSON
  /// (or Python's True, False, None) is that, any other text a string, also one in quotes.
  std::string json_of(std::string_view function, std::string_view parameter, std::string_view text) const;

 private:
  enum Type : uint8_t { null = 1, boolean = 2, integer = 4, number = 8, string = 16, array = 32, object = 64 };
  static uint8_t type_named(const Json& name);
  static uint8_t types_of(const Json& schema);
  static uint8_t looks_like(std::string_view json);

  std::map<std::string, std::map<std::string, uint8_t, std::less<>>, std::less<>> functions_;
};

}  // namespace chorus::harmony
