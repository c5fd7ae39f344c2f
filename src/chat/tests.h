#pragma once

#include <string_view>

#include "chat/evaluator.h"

namespace chorus::jinja {

struct Test {
  std::string_view name;
  Value (*run)(Evaluator&, const Value& input, const Arguments& arguments);
};

/// Jinja2's tests (`x is NAME`). Null where there is none of that name.
const Test* find_test(std::string_view name);

}  // namespace chorus::jinja
