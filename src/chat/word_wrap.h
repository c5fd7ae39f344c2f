#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chorus::jinja {

/// Python's textwrap.wrap without expanding tabs or replacing white space: lines of at most `width` characters.
std::vector<std::string> wrap_words(std::string_view line, int64_t width, bool break_long_words,
                                    bool break_on_hyphens);

}  // namespace chorus::jinja
