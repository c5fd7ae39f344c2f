#pragma once

#include <span>
#include <string_view>

#include "chat/callables.h"

namespace chorus::jinja {

struct StringMethod {
  std::string_view name;
  Function run;
};

/// str's methods, by name in order.
std::span<const StringMethod> string_methods();

}  // namespace chorus::jinja
