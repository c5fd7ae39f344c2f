#pragma once

#include <filesystem>
#include <string_view>

#include "chorus/json.h"

namespace chorus {

/// Parses one JSON value. Throws Fault::input with the position, a piece of the text around it and `source` (a
/// file's name, "line 3 of prompts.jsonl", ...). Nesting deeper than 512 levels is refused.
Json parse_json(std::string_view text, std::string_view source);

/// Reads and parses a file; errors have Fault::model.
Json read_json(const std::filesystem::path& file);

/// The value as one line, non-ASCII characters as they are; bytes that are not UTF-8 become U+FFFD.
std::string to_json_line(const Json& value);

}  // namespace chorus
