#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "harmony/text_parser.h"

namespace chorus::cli {

void add_parse_command(CLI::App& app, Run& run) {
  CLI::App& command = *app.add_subcommand("parse", "Harmony text on stdin -> its messages and channels as JSON");
  command.callback([&run] {
    run = [] {
      print_json(harmony::parse_text(read_input("-")));
      return exit_ok;
    };
  });
}

}  // namespace chorus::cli
