#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "base/file.h"
#include "chorus/error.h"
#include "weights/safetensors_writer.h"

namespace chorus::cli {
namespace {

struct Options {
  ModelOptions model;
  TokenIds tokens;
  std::string output;
  int64_t chunk = 0;
  bool no_cache = false;
};

int run_logits(const Options& o) {
  const std::filesystem::path file = expand_home(o.output);
  const Model model = load_model(o.model.model, o.model.load);
  const auto n = int64_t(o.tokens.size());
  const PlannedTensor plan{.name = "logits", .dtype = DType::f32, .shape = {n, model.vocabulary()}};
  SafetensorsWriter writer(file, {&plan, 1}, {{"format", "pt"}});
  const auto append = [&](const Logits& logits) { writer.append(std::as_bytes(std::span(logits.values))); };
  if (o.no_cache) {
    append(model(o.tokens));
  } else {
    if (n > model.context())
      throw Error(Fault::input, "more tokens than the model's context")
          .with("tokens", n)
          .with("context", model.context());
    PromptCache cache = make_prompt_cache(model, n);
    const int64_t chunk = o.chunk == 0 ? n : o.chunk;
    for (int64_t begin = 0; begin < n; begin += chunk)
      append(model(std::span(o.tokens).subspan(size_t(begin), size_t(std::min(chunk, n - begin))), cache));
  }
  writer.finish();
  return exit_ok;
}

}  // namespace

void add_logits_command(CLI::App& app, Run& run) {
  const auto o = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("logits", "Write the logits of every position of a sequence");
  add_model_name(command, o->model.model);
  command.add_option("--tokens", o->tokens, "Token ids, separated by commas")->required()->delimiter(',');
  command.add_option("--output", o->output, "safetensors file: float32 `logits` [tokens, vocabulary]")->required();
  CLI::Option* no_cache = command.add_flag("--no-cache", o->no_cache, "One pass without a prompt cache");
  command.add_option("--chunk", o->chunk, "Feed the cache so many tokens at a time; default: all")
      ->check(a_count())
      ->excludes(no_cache);
  add_load_options(command, o->model.load);
  command.callback([&run, o] { run = [o] { return run_logits(*o); }; });
}

}  // namespace chorus::cli
