#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "chorus/json.h"

namespace chorus::cli {

bool is_terminal(int fd);

/// To standard output, whole and at once. Throws Fault::io (a full disk, a closed pipe).
void print(std::string_view text);

/// A JSON value as one line.
void print_json(const Json& value);

/// To standard error.
void report(std::string_view line);

/// Calls `on_line` with each line of standard input, without its end.
void for_each_input_line(const std::function<void(std::string_view line)>& on_line);

/// All of FILE, or of standard input for "-". Throws Fault::io.
std::string read_input(const std::string& file_or_dash);

/// The same, which is to hold a JSON list of `what` ("messages").
Json read_list(const std::string& file_or_dash, std::string_view what);

/// What a model wrote, fit for a terminal: control characters, which could move its cursor or worse, become
/// U+FFFD.
std::string for_terminal(std::string_view text);

/// 12_345_678 -> "12.3 MB"
std::string bytes_text(double bytes);

}  // namespace chorus::cli
