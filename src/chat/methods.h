#pragma once

#include <cstdint>
#include <string_view>

#include "chat/value.h"

namespace chorus::jinja {

// The attributes of strings, lists, dicts and numbers.

/// The types that have a method of that name, one bit each.
uint32_t types_with_method(std::string_view name);
inline bool has_method(uint32_t types, Type type) {
  return (types >> unsigned(type) & 1) != 0;
}

/// self.name(arguments); the type has that method.
Value call_method(Evaluator& evaluator, const Value& self, const Value& name, const Arguments& arguments);

/// getattr(value, name): a bound method, a number's part, a macro's name; what the sandbox forbids (methods that
/// change their object) is an Undefined that says so. Missing where there is no such attribute.
Value attribute_of(Evaluator& evaluator, const Value& value, const Value& name);

/// Whether every Python object has it (__class__, ...).
bool is_object_attribute(std::string_view name);
Value unsafe_attribute(const Value& value, const Value& name);

}  // namespace chorus::jinja
