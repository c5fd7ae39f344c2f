#include <fmt/format.h>
#include <unistd.h>

#include "app/cli/coloured_prompt.h"
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "base/file.h"
#include "base/json.h"
#include "chat/chat_template.h"
#include "chorus/error.h"
#include "tokenizer/tokenizer.h"
#include "weights/find_model.h"

namespace chorus::cli {
namespace {

struct Options {
  std::string model, messages, tools, name;
  PromptOptions prompt;
  bool no_generation_prompt = false, tokens = false, json = false;
};

int run_template(const Options& o) {
  TemplateOptions options = template_options(o.prompt);
  options.add_generation_prompt = !o.no_generation_prompt;
  options.template_name = o.name;
  if (!o.tools.empty()) options.tools = read_list(o.tools, "tools");
  const Json messages = read_list(o.messages, "messages");
  const std::filesystem::path folder = find_model(o.model);
  const std::string prompt = chat::ChatTemplates::load(folder).render(messages, options);
  if (!o.tokens) {
    if (o.json)
      print_json({{"prompt", prompt}});
    else
      print(prompt);
    return exit_ok;
  }
  const auto tokenizer = tokenizer::Tokenizer::load(folder);
  const TokenIds ids = tokenizer->encode(prompt);
  if (o.json)
    print_json({{"prompt", prompt}, {"tokens", ids}});
  else
    print((is_terminal(STDOUT_FILENO) ? coloured_prompt(tokenizer, ids) : prompt) + "\n" + to_json_line(ids) + "\n");
  return exit_ok;
}

}  // namespace

void add_template_command(CLI::App& app, Run& run) {
  const auto o = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("template", "Print the prompt that the chat template makes of messages");
  add_model_name(command, o->model);
  command.add_option("--messages", o->messages, "JSON list of messages; - for standard input")->required();
  command.add_option("--tools", o->tools, "JSON list of tools");
  command.add_option("--template-name", o->name, "Which of a folder's named templates");
  command.add_flag("--no-generation-prompt", o->no_generation_prompt, "End behind the last message");
  command.add_flag("--tokens", o->tokens, "Print the token ids too, on a line of their own");
  command.add_flag("--json", o->json, "Print one JSON object");
  add_prompt_options(command, o->prompt);
  command.callback([&run, o] { run = [o] { return run_template(*o); }; });
}

}  // namespace chorus::cli
