#include <fmt/format.h>
#include <unistd.h>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/synthetic.h"
#include "base/file.h"
#include "weights/find_model.h"

namespace chorus::cli {

void synthesize_with_progress(const Json& config, const std::filesystem::path& folder, Synthesis how) {
  const bool terminal = is_terminal(STDERR_FILENO);
  how.progress = [&, percent = uint64_t(0)](uint64_t done, uint64_t total) mutable {
    if (!terminal || total == 0 || done * 100 / total == percent) return;
    percent = done * 100 / total;
    std::fputs(fmt::format("\rwriting {} of random weights: {} %\x1b[K{}", bytes_text(double(total)), percent,
                           done == total ? "\r\x1b[K" : "")
                   .c_str(),
               stderr);
  };
  synthesize(config, folder, how);
}

void add_synth_command(CLI::App& app, Run& run) {
  struct Options {
    std::string config, output, tokenizer;
    Synthesis how;
  };
  const auto o = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("synth", "Write a model folder of random weights with real sizes");
  command.add_option("--config", o->config, "gpt-oss-20b, gpt-oss-20b-2layers, gpt-oss-tiny, or a config.json")
      ->required();
  command.add_option("--output", o->output, "The folder to make")->required();
  command.add_option("--seed", o->how.seed, "Of the random weights")->capture_default_str();
  command.add_option("--threads", o->how.threads, "0: all that this process may use")->capture_default_str();
  command.add_option("--tokenizer", o->tokenizer, "Model folder whose tokenizer and chat template are copied");
  command.callback([&run, o] {
    run = [o] {
      if (!o->tokenizer.empty()) o->how.tokenizer_from = find_model(o->tokenizer);
      synthesize_with_progress(synthetic_config(o->config), expand_home(o->output), o->how);
      return exit_ok;
    };
  });
}

}  // namespace chorus::cli
