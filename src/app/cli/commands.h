#pragma once

#include <functional>

#include "app/cli/options.h"

namespace chorus::cli {

/// The command that the command line chose; returns the exit code.
using Run = std::function<int()>;

// Each adds its subcommand with its options; parsing them sets `run`. One file per command.
void add_batch_command(CLI::App& app, Run& run);
void add_bench_command(CLI::App& app, Run& run);
void add_generate_command(CLI::App& app, Run& run);
void add_inspect_command(CLI::App& app, Run& run);
void add_logits_command(CLI::App& app, Run& run);
void add_parse_command(CLI::App& app, Run& run);
void add_synth_command(CLI::App& app, Run& run);
void add_template_command(CLI::App& app, Run& run);
void add_tokenize_command(CLI::App& app, Run& run);  ///< and detokenize

constexpr int exit_ok = 0, exit_some_rows_failed = 1, exit_bad_input = 2, exit_internal = 3;

}  // namespace chorus::cli
