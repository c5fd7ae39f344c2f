#include <filesystem>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/options.h"
#include "engine/answer.h"
#include "harmony/text_parser.h"
#include "tokenizer/tokenizer.h"
#include "weights/find_model.h"

namespace chorus::cli {
namespace {

struct Options {
  std::string model, prompt_end, tools;
};

// A shell's line end behind the last marker is no text of the model.
std::string_view without_line_end(std::string_view text) {
  for (const harmony::Marker marker : {harmony::Marker::end, harmony::Marker::return_, harmony::Marker::call})
    if (text.ends_with(std::string(marker_text(marker)) + "\n")) return text.substr(0, text.size() - 1);
  return text;
}

// The format of a model folder, of which the templates alone may be there.
harmony::AnswerFormat format_of(const std::string& model) {
  const std::filesystem::path folder = find_model(model);
  const bool has_tokenizer =
      std::filesystem::exists(folder / "tokenizer.json") || std::filesystem::exists(folder / "tokenizer.model");
  const auto tokenizer = has_tokenizer ? tokenizer::Tokenizer::load(folder) : nullptr;
  return engine::answer_format(chat::ChatTemplates::load(folder), tokenizer.get());
}

Json parse_answer(const harmony::AnswerFormat& format, std::string_view text, std::string_view prompt_end,
                  const Json& tools) {
  const auto parser = harmony::make_answer_parser(format, prompt_end, tools);
  parser->feed_text(text);
  parser->finish();
  const harmony::Answer& answer = parser->answer();
  return {{"format", name_of(format)},
          {"reasoning", answer.reasoning ? Json(*answer.reasoning) : Json()},
          {"message", answer.message ? Json(*answer.message) : Json()},
          {"tool_calls", answer.tool_calls},
          {"malformed", answer.malformed}};
}

int run_parse(const Options& o) {
  const harmony::AnswerFormat format =
      o.model.empty() ? harmony::AnswerFormat{.harmony = harmony::HarmonyTokens{}} : format_of(o.model);
  const Json tools = o.tools.empty() ? Json() : read_list(o.tools, "tools");
  const std::string text = read_input("-");
  print_json(format.harmony ? harmony::parse_text(without_line_end(text))
                            : parse_answer(format, text, o.prompt_end, tools));
  return exit_ok;
}

}  // namespace

void add_parse_command(CLI::App& app, Run& run) {
  const auto o = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("parse", "An answer on stdin -> its message, reasoning, tool calls as JSON");
  command.add_option("--model", o->model, "Whose answer it is: a folder or org/name (default: gpt-oss')");
  command.add_option("--prompt-end", o->prompt_end, "What the prompt ended in, such as <think>");
  command.add_option("--tools", o->tools,
                     "JSON list of the prompt's tools: they type values that are written untyped");
  command.callback([&run, o] { run = [o] { return run_parse(*o); }; });
}

}  // namespace chorus::cli
