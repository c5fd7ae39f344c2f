#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "harmony/markers.h"
#include "harmony/text_parser.h"

namespace chorus::cli {
namespace {

// A shell's line end behind the last marker is no text of the model.
std::string_view without_line_end(std::string_view text) {
  for (const harmony::Marker marker : {harmony::Marker::end, harmony::Marker::return_, harmony::Marker::call})
    if (text.ends_with(std::string(marker_text(marker)) + "\n")) return text.substr(0, text.size() - 1);
  return text;
}

}  // namespace

void add_parse_command(CLI::App& app, Run& run) {
  CLI::App& command = *app.add_subcommand("parse", "Harmony text on stdin -> its messages and channels as JSON");
  command.callback([&run] {
    run = [] {
      print_json(harmony::parse_text(without_line_end(read_input("-"))));
      return exit_ok;
    };
  });
}

}  // namespace chorus::cli
