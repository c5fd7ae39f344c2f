#include <exception>
#include <new>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "chorus/error.h"

namespace chorus::cli {
namespace {

int run_command_line(int argc, char** argv) {
  CLI::App app("chorus runs open-weight LLMs over many prompts at once.", "chorus");
  app.set_version_flag("--version", "chorus " CHORUS_VERSION);
  app.require_subcommand(1);
  Run run;
  add_batch_command(app, run);
  add_generate_command(app, run);
  add_template_command(app, run);
  add_tokenize_command(app, run);
  add_parse_command(app, run);
  add_logits_command(app, run);
  add_bench_command(app, run);
  add_synth_command(app, run);
  add_inspect_command(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    const auto chosen = app.get_subcommands();
    const bool unknown_command = chosen.empty() && argc > 1 && argv[1][0] != '-';
    report("chorus: " + (unknown_command ? std::string("unknown command\n  command: ") + argv[1] : e.what()));
    report("  help: chorus " + (chosen.empty() ? "" : chosen[0]->get_name() + " ") + "--help");
    return exit_bad_input;
  }
  return run();
}

}  // namespace
}  // namespace chorus::cli

int main(int argc, char** argv) {
  using namespace chorus::cli;
  try {
    return run_command_line(argc, argv);
  } catch (const chorus::Error& e) {
    report(std::string("chorus: ") + e.what());
    return e.fault() == chorus::Fault::internal ? exit_internal : exit_bad_input;
  } catch (const std::bad_alloc&) {
    report("chorus: out of memory\n  help: a smaller --memory leaves more to the rest");
    return exit_bad_input;
  } catch (const std::exception& e) {
    report(std::string("chorus: internal error\n  reason: ") + e.what());
    return exit_internal;
  }
}
