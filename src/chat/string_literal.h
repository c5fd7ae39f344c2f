#pragma once

#include <string>
#include <string_view>

namespace chorus::jinja {

/// The value of a string literal from what stands between its quotes: Python's escapes (\n, \x41, \u00e9,
/// \N{BULLET}, octal, a backslash before the line's end); an unknown escape stays as it is. Throws Cause::syntax.
std::string unescape_string_literal(std::string_view body);

}  // namespace chorus::jinja
