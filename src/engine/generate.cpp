#include "chorus/generate.h"

#include <cstdio>

#include <fmt/format.h>

#include "chorus/error.h"

namespace chorus {
namespace {

void print_line(const BatchOptions& options, std::string_view line) {
  if (!options.verbose) return;
  if (options.print) options.print(line);
  else std::fprintf(stderr, "%.*s\n", int(line.size()), line.data());
}

}  // namespace

Result stream_generate(const Model& model, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                       const GenerateOptions& options, const std::function<bool(const GenerationResponse&)>& on_piece) {
  const int64_t context = std::min<int64_t>(model.context(), int64_t(prompt.size()) + options.max_tokens + 1);
  Engine engine(model, tokenizer, {.max_rows = 1, .context = context});
  const int64_t row = engine.add({.id = "0",
                                  .prompt = TokenIds(prompt.begin(), prompt.end()),
                                  .sampling = options.sampling,
                                  .stop = {.max_tokens = options.max_tokens, .stop = options.stop}});
  Result result;
  const auto on_event = [&](const Event& event) {
    if (const auto* token = std::get_if<TokenEvent>(&event)) {
      if (!on_piece({.text = token->text, .token = token->token_id, .reasoning = token->reasoning})) engine.cancel(row);
    } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
      result = finished->result;
    }
  };
  while (engine.step(on_event)) {
  }
  return result;
}

std::string generate(const Model& model, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                     const GenerateOptions& options) {
  return stream_generate(model, tokenizer, prompt, options, [](const GenerationResponse&) { return true; }).text;
}

std::string generate(const Model& model, const Tokenizer& tokenizer, std::string_view prompt,
                     const GenerateOptions& options) {
  return generate(model, tokenizer, tokenizer.encode(prompt), options);
}

BatchResult batch_generate(const Model& model, const Tokenizer& tokenizer, std::span<const TokenIds> prompts,
                           const BatchOptions& options) {
  if (!options.max_tokens_per_prompt.empty() && options.max_tokens_per_prompt.size() != prompts.size())
    throw Error(Fault::usage, "max_tokens_per_prompt has another length than the prompts")
        .with("prompts", prompts.size()).with("max_tokens_per_prompt", options.max_tokens_per_prompt.size());
  BatchResult batch;
  batch.results.resize(prompts.size());
  if (prompts.empty()) return batch;

  Engine engine(model, tokenizer, options.engine);
  std::vector<size_t> prompt_of_row;
  size_t done = 0;
  const auto finished = [&](size_t prompt, Result result) {
    batch.results[prompt] = std::move(result);
    print_line(options, fmt::format("[batch_generate] Finished processing {}/{}", ++done, prompts.size()));
  };
  for (size_t i = 0; i < prompts.size(); ++i) {
    const int64_t max_tokens =
        options.max_tokens_per_prompt.empty() ? options.max_tokens : options.max_tokens_per_prompt[i];
    try {
      engine.add({.id = std::to_string(i),
                  .prompt = prompts[i],
                  .sampling = options.sampling,
                  .stop = {.max_tokens = max_tokens, .stop = options.stop},
                  .row_key = row_key_of(std::to_string(i))});
      prompt_of_row.push_back(i);
    } catch (const Error& e) {
      if (e.fault() != Fault::input && e.fault() != Fault::memory) throw;
      finished(i, failed(std::to_string(i), e.one_line()));  // a bad row fails alone
    }
  }
  while (engine.step([&](const Event& event) {
    if (const auto* end = std::get_if<FinishedEvent>(&event))
      finished(prompt_of_row[size_t(end->row)], end->result);
  })) {
  }
  for (const Result& result : batch.results) batch.texts.push_back(result.text);
  batch.stats = engine.stats();
  print_line(options, summary(batch.stats));
  return batch;
}

Loaded load(std::string_view name, const LoadOptions& options) {
  Tokenizer tokenizer = Tokenizer::load(name);  // first: it is quick to say what is wrong with it
  return {.model = load_model(name, options), .tokenizer = std::move(tokenizer)};
}

}  // namespace chorus
