#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/value.h"

namespace chorus::jinja {

// Searching and cutting, for the string methods and the filters of the same names. Linear in the text.

/// npos where there is none.
size_t find_first(std::string_view text, std::string_view part, size_t from);
size_t find_last(std::string_view text, std::string_view part);

/// str.split and str.rsplit; a None separator cuts at runs of white space. `limit` < 0 = all.
Value split(const Value& text, const Value& separator, int64_t limit, bool from_right);
/// At \n, \r, \r\n and the other line ends that Python knows.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
/// Without the characters of the set (None: white space) at its ends.
Value strip_characters(const Value& text, const Value& characters, bool left, bool right);
/// The first `limit` (< 0 = all) occurrences replaced.
std::string replace_text(std::string_view text, std::string_view old_part, std::string_view new_part,
                         int64_t limit);
/// str.center, which puts the odd blank where CPython does.
std::string center_text(const Value& text, int64_t width, std::string_view fill);

}  // namespace chorus::jinja
