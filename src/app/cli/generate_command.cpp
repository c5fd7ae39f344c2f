#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/interrupt.h"
#include "chorus/error.h"
#include "chorus/generate.h"
#include "engine/answer.h"

namespace chorus::cli {
namespace {

struct Options {
  ModelOptions model;
  SamplingOptions sampling;
  PromptOptions prompt;
  std::string text, system;
  bool raw = false, no_cache = false, json = false, quiet = false;
};

/// Prints an answer as it grows: the message; on a terminal also, dimmed, the reasoning, and all else.
class AnswerPrinter {
 public:
  AnswerPrinter(const Tokenizer& tokenizer, std::span<const int32_t> prompt, bool whole_text)
      : terminal_(is_terminal(STDOUT_FILENO)) {
    if (!whole_text && !tokenizer.state().answer_format.is_plain())
      parser_ = engine::answer_parser(tokenizer.state(), prompt);
  }

  void feed(int32_t token, std::string_view text) {
    if (!parser_) return out(text, false);
    parser_->feed(token, text);
    show();
  }

  void finish() {
    if (parser_) {
      parser_->finish();
      show();
    }
    if (dim_) print("\x1b[0m");
    if (terminal_ || parser_) print("\n");
  }

 private:
  // What the answer has beyond what is printed.
  void show() {
    const harmony::Answer& answer = parser_->answer();
    if (message_ > (answer.message ? answer.message->size() : 0))
      reasoning_ = std::exchange(message_, 0);  // what was printed as the message turned out to be reasoning
    if (terminal_) {
      if (answer.reasoning) show_rest(*answer.reasoning, reasoning_, /*dim=*/true);
      for (const auto& [name, text] : answer.channels) show_rest(text, channels_[name], false);
      for (; calls_ < answer.tool_calls.size(); ++calls_) {
        const Json& call = answer.tool_calls[calls_]["function"];
        size_t printed = 0;
        show_rest(call["name"].get<std::string>() + " " + call["arguments"].get<std::string>(), printed, false);
      }
    }
    if (answer.message) show_rest(*answer.message, message_, false);
  }

  void show_rest(std::string_view text, size_t& printed, bool dim) {
    if (text.size() <= printed) return;
    if (printed == 0 && printed_any_) print(terminal_ ? "\n\n" : "\n");
    printed_any_ = true;
    out(text.substr(printed), dim);
    printed = text.size();
  }

  void out(std::string_view text, bool dim) {
    if (terminal_ && dim != dim_) print(dim ? "\x1b[2m" : "\x1b[0m");
    dim_ = dim;
    if (terminal_)
      print(for_terminal(text));
    else
      print(text);
  }

  bool terminal_, dim_ = false, printed_any_ = false;
  std::unique_ptr<harmony::AnswerParser> parser_;
  size_t reasoning_ = 0, message_ = 0, calls_ = 0;  // printed of each
  std::map<std::string, size_t> channels_;
};

/// Greedy decoding that computes the whole sequence again for every token: slow, and nothing in it can be stale.
Result generate_without_cache(const Model& model, const Tokenizer& tokenizer, TokenIds ids, int64_t max_tokens) {
  Result result;
  result.prompt_tokens = int64_t(ids.size());
  result.finish_reason = FinishReason::length;
  const auto& eos = model.eos_token_ids();
  while (result.generated_tokens < max_tokens && int64_t(ids.size()) < model.context() && interrupted() == 0) {
    const Logits logits = model(ids);
    const auto last = logits.row(logits.tokens - 1);
    const auto token = int32_t(std::max_element(last.begin(), last.end()) - last.begin());
    ++result.generated_tokens;
    if (std::find(eos.begin(), eos.end(), token) != eos.end()) {
      result.finish_reason = FinishReason::stop;
      break;
    }
    ids.push_back(token);
    result.token_ids.push_back(token);
  }
  result.text = tokenizer.decode(result.token_ids);
  return result;
}

void check_no_cache(const SamplingParams& params, const StopRules& stop) {
  SamplingParams greedy;
  greedy.seed = params.seed;
  greedy.top_p = params.top_p;  // these do not matter to the likeliest token
  greedy.top_k = params.top_k;
  greedy.min_p = params.min_p;
  if (params != greedy || !stop.stop.empty())
    throw Error(Fault::usage,
                "--no-cache checks the cache by greedy decoding: no temperature, penalties or stops");
}

TokenIds prompt_tokens(const Options& o, const Tokenizer& tokenizer) {
  if (o.raw) return tokenizer.encode(o.text);
  std::vector<Message> messages;
  if (!o.system.empty()) messages.push_back({.role = "system", .content = o.system});
  messages.push_back({.role = "user", .content = o.text});
  return tokenizer.apply_chat_template(messages, template_options(o.prompt));
}

int run_generate(const Options& o) {
  const GenerateOptions generation{.max_tokens = stop_rules(o.sampling).max_tokens,
                                   .sampling = sampling_params(o.sampling, o.model.model),
                                   .stop = o.sampling.stop};
  if (o.no_cache) check_no_cache(generation.sampling, stop_rules(o.sampling));
  const auto [model, tokenizer] = load(o.model.model, o.model.load);
  const TokenIds prompt = prompt_tokens(o, tokenizer);
  AnswerPrinter printer(tokenizer, prompt, o.raw);
  catch_interrupts();
  Result result;
  if (o.no_cache) {
    result = generate_without_cache(model, tokenizer, prompt, generation.max_tokens);
    if (!o.json)
      for (const int32_t token : result.token_ids) printer.feed(token, tokenizer.decode({&token, 1}));
  } else {
    result = stream_generate(model, tokenizer, prompt, generation, [&](const GenerationResponse& piece) {
      if (!o.json) printer.feed(piece.token, piece.text);
      return interrupted() == 0;
    });
  }
  if (o.json) {
    Json json = to_json(result);
    json["token_ids"] = result.token_ids;
    print_json(json);
  } else {
    printer.finish();
  }
  if (!o.quiet && !o.json)
    report(fmt::format("[chorus] prompt {} tokens in {:.3f} s, generated {} tokens in {:.3f} s ({:.1f} tok/s), {}",
                       result.prompt_tokens, result.prefill_s, result.generated_tokens, result.decode_s,
                       result.decode_s > 0 ? double(result.generated_tokens) / result.decode_s : 0.0,
                       name_of(result.finish_reason)));
  return interrupted() == 0 ? exit_ok : 128 + interrupted();
}

}  // namespace

void add_generate_command(CLI::App& app, Run& run) {
  const auto o = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("generate", "Answer one prompt, streamed");
  add_model_name(command, o->model.model);
  command.add_option("--prompt", o->text, "What the user says")->required();
  CLI::Option* system = command.add_option("--system", o->system, "A system message before it");
  command.add_flag("--raw", o->raw, "The prompt is text to be continued: no chat template")->excludes(system);
  command.add_flag("--no-cache", o->no_cache, "Compute everything again for each token: a check of the cache");
  command.add_flag("--json", o->json, "Print the result as JSON, with token_ids");
  command.add_flag("--quiet", o->quiet, "No stats");
  add_sampling_options(command, o->sampling);
  add_prompt_options(command, o->prompt);
  add_load_options(command, o->model.load);
  command.callback([&run, o] { run = [o] { return run_generate(*o); }; });
}

}  // namespace chorus::cli
