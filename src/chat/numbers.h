#pragma once

#include <string_view>

#include "chat/value.h"

namespace chorus::jinja {

// Python's int("...", base), float("...") and int(float). They throw what Python throws.

Value parse_integer(std::string_view text, int64_t base);
double parse_real(std::string_view text);
Value truncate_to_integer(double value);

}  // namespace chorus::jinja
