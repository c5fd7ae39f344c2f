#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "chat/callables.h"

namespace chorus::jinja {

// The attributes of strings, lists, dicts and numbers.

/// The methods of one name: for each type the function, or that it is forbidden.
struct NamedMethods {
  uint32_t callable = 0, forbidden = 0;  ///< types, one bit each
  std::array<Function, 16> run{};
};
const NamedMethods& methods_named(std::string_view name);
inline bool has_type(uint32_t types, Type type) {
  return (types >> unsigned(type) & 1) != 0;
}
inline bool has_method(const NamedMethods& methods, Type type) {
  return has_type(methods.callable | methods.forbidden, type);
}

/// self.name(arguments), where `methods` are those of that name and the type has one.
Value call_method(Evaluator& evaluator, const Value& self, const NamedMethods& methods, const Value& name,
                  const Arguments& arguments);

/// getattr(value, name): a bound method, a number's part, a macro's name; what the sandbox forbids (methods that
/// change their object) is an Undefined that says so. Missing where there is no such attribute.
Value attribute_of(Evaluator& evaluator, const Value& value, const Value& name);

/// Whether every Python object has it (__class__, ...).
bool is_object_attribute(std::string_view name);
Value unsafe_attribute(const Value& value, const Value& name);

}  // namespace chorus::jinja
