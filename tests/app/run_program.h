#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/json.h"
#include "goldens.h"

namespace chorus::test {

struct Ended {
  int exit_code;  ///< 128 + signal where one ended it
  std::string out, err;
};

/// Runs the built program with these arguments.
Ended run_chorus(const std::vector<std::string>& arguments, std::string_view standard_input = "");

/// Starts it and sends a signal after so long, unless it ended by itself.
Ended run_chorus_and_signal(const std::vector<std::string>& arguments, int signal, int after_ms);

/// A folder of this test's own, empty at the start.
std::filesystem::path scratch_folder();

/// A folder with a small model of random weights and the demo model's tokenizer and template; made once.
std::string small_model();

/// The same without a tokenizer.
std::string model_without_tokenizer();

std::vector<Json> json_lines(std::string_view text);

}  // namespace chorus::test
