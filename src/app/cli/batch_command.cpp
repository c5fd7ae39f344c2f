#include <unistd.h>

#include <fmt/format.h>
#include <ctime>

#include "app/cli/batch_input.h"
#include "app/cli/batch_output.h"
#include "app/cli/batch_table.h"
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/interrupt.h"
#include "app/cli/progress.h"
#include "base/file.h"
#include "chorus/error.h"
#include "chorus/replicas.h"
#include "weights/find_model.h"

namespace chorus::cli {
namespace {

struct Options {
  ModelOptions model;
  SamplingOptions sampling;
  PromptOptions prompt;
  EngineOptions engine;
  std::string input, output;
  bool resume = false, overwrite = false, raw = false, token_ids = false, table = false, json = false,
       quiet = false;
};

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local)};
}

/// All that the tokens of a row depend on, apart from its line.
Json manifest_of(const Options& o, const RowDefaults& defaults, const TemplateOptions& prompt,
                 std::string_view input) {
  const SamplingParams& s = defaults.sampling;
  return {{"chorus", CHORUS_VERSION},
          {"model", std::filesystem::absolute(find_model(o.model.model)).lexically_normal().string()},
          {"device", o.model.load.device},
          {"precision", o.model.load.precision},
          {"input_bytes", input.size()},
          {"input_hash", fmt::format("fnv1a64:{:016x}", row_key_of(input))},
          {"raw", o.raw},
          {"date", prompt.date},
          {"template_kwargs", prompt.kwargs},
          {"max_tokens", defaults.stop.max_tokens},
          {"stop", defaults.stop.stop},
          {"seed", s.seed},
          {"temperature", s.temperature},
          {"top_p", s.top_p},
          {"top_k", s.top_k},
          {"min_p", s.min_p},
          {"repetition_penalty", s.repetition_penalty},
          {"presence_penalty", s.presence_penalty},
          {"frequency_penalty", s.frequency_penalty}};
}

/// Folders without one run prompts given as tokens.
std::optional<Tokenizer> load_tokenizer(const std::string& model) {
  const std::filesystem::path folder = find_model(model);
  for (const char* file : {"tokenizer.json", "tokenizer.model"})
    if (std::filesystem::exists(folder / file)) return Tokenizer::load(model);
  return std::nullopt;
}

TokenIds prompt_tokens(const BatchRow& row, const std::optional<Tokenizer>& tokenizer, TemplateOptions options) {
  if (const auto* ids = std::get_if<TokenIds>(&row.prompt)) return *ids;
  if (!tokenizer)
    throw Error(Fault::input, "the model folder has no tokenizer: only prompts given as tokens can run");
  if (const auto* raw = std::get_if<RawText>(&row.prompt)) return tokenizer->encode(raw->text);
  options.kwargs.update(row.template_kwargs);
  if (row.tools) options.tools = *row.tools;
  return tokenizer->encode(tokenizer->render_chat_template(std::get<Json>(row.prompt), options));
}

Json stats_json(const BatchStats& s) {
  return {{"prompt_tokens", s.prompt_tokens},
          {"prompt_tps", s.prompt_tps},
          {"prompt_time", s.prompt_time},
          {"generation_tokens", s.generation_tokens},
          {"generation_tps", s.generation_tps},
          {"generation_time", s.generation_time},
          {"peak_memory", s.peak_memory},
          {"rows", s.rows},
          {"all_prompt_tokens", s.all_prompt_tokens},
          {"cached_prompt_tokens", s.cached_prompt_tokens},
          {"generated_tokens", s.generated_tokens},
          {"wall_time", s.wall_time},
          {"token_time_p50", s.token_time_p50},
          {"token_time_p99", s.token_time_p99},
          {"steps", s.steps},
          {"preemptions", s.preemptions}};
}

/// One run over the rows that have no result yet.
class Batch {
 public:
  Batch(const Options& o, BatchOutput& output) : o_(o), output_(output) {}

  int run(const std::vector<BatchRow>& rows, const RowDefaults& defaults, const TemplateOptions& prompt) {
    const std::optional<Tokenizer> tokenizer = load_tokenizer(o_.model.model);
    with_token_ids_ = o_.token_ids || !tokenizer;
    const std::vector<Model> models = load_replicas(o_.model.model, o_.model.load);
    check(defaults.sampling, models[0].vocabulary());
    Replicas engine(models, tokenizer ? &*tokenizer : nullptr, o_.engine);
    int64_t skipped = 0;
    for (const BatchRow& row : rows) {
      if (output_.has(row))
        ++skipped;
      else
        add(engine, row, tokenizer, prompt);
    }
    output_.flush();
    rows_failed_ += output_.earlier_errors();

    ProgressLine progress(!o_.quiet, int64_t(rows.size()), skipped + failed_at_once_);
    catch_interrupts();
    steps(engine, progress);
    progress.clear();
    if (o_.table) print_batch_table(rows, o_.output);
    const int64_t missing = int64_t(rows.size()) - skipped - failed_at_once_ - finished_;
    return report_end(engine.stats(), skipped, missing);
  }

 private:
  // A bad row fails alone.
  void add(Replicas& engine, const BatchRow& row, const std::optional<Tokenizer>& tokenizer,
           const TemplateOptions& prompt) {
    std::string error;
    if (row.error) {
      error = *row.error;
    } else {
      try {
        engine.add({.id = row.id,
                    .prompt = prompt_tokens(row, tokenizer, prompt),
                    .sampling = row.sampling,
                    .stop = row.stop,
                    .priority = row.priority,
                    .tools = row.tools.value_or(Json()),
                    .row_key = row.row_key});
        return;
      } catch (Error& e) {
        if (e.fault() == Fault::internal) throw;
        error = e.with("line", row.line).one_line();
      }
    }
    ++failed_at_once_;
    write(failed(row.id, error));
  }

  void steps(Replicas& engine, ProgressLine& progress) {
    const auto on_event = [&](const Event& event) {
      if (const auto* end = std::get_if<FinishedEvent>(&event)) {
        ++finished_;
        write(end->result);
      } else if (const auto* now = std::get_if<ProgressEvent>(&event)) {
        progress.draw(*now);
      }
    };
    try {
      while (interrupted() == 0 && engine.step(on_event)) output_.flush();
    } catch (...) {
      output_.flush();  // what finished before the failure is not lost
      throw;
    }
    output_.flush();
  }

  void write(const Result& result) {
    if (result.finish_reason == FinishReason::error) ++rows_failed_;
    Json line = to_json(result);
    if (with_token_ids_) line["token_ids"] = result.token_ids;
    if (!result.logprobs.empty()) line["logprobs"] = result.logprobs;
    output_.add(line);
  }

  int report_end(const BatchStats& stats, int64_t skipped, int64_t missing) {
    if (o_.json) {
      Json json = stats_json(stats);
      json["rows_skipped"] = skipped;
      json["rows_failed"] = rows_failed_;
      json["rows_missing"] = missing;
      report(json.dump());
    } else if (!o_.quiet) {
      report(summary(stats));
      if (skipped > 0) report(fmt::format("[chorus] {} rows had been finished before", skipped));
    }
    if (rows_failed_ > 0 && !o_.json)
      report(rows_failed_ == 1
                 ? "chorus: 1 row failed: see \"error\" in its result"
                 : fmt::format("chorus: {} rows failed: see \"error\" in their results", rows_failed_));
    if (missing > 0) {
      if (!o_.json)
        report(fmt::format("chorus: interrupted, {} rows are not finished\n  help: --resume continues", missing));
      return 128 + interrupted();
    }
    return rows_failed_ > 0 ? exit_some_rows_failed : exit_ok;
  }

  const Options& o_;
  BatchOutput& output_;
  bool with_token_ids_ = false;
  int64_t finished_ = 0, failed_at_once_ = 0, rows_failed_ = 0;
};

int run_batch(const Options& o) {
  if (o.table && o.output == "-")
    throw Error(Fault::usage, "--table is printed to standard output, where the results go")
        .with("help", "give --output a file");
  const std::string input = read_input(o.input);
  RowDefaults defaults{
      .sampling = sampling_params(o.sampling, o.model.model), .stop = stop_rules(o.sampling), .raw = o.raw};
  const std::vector<BatchRow> rows = read_rows(input, o.input, defaults);
  BatchOutput output(o.output, o.overwrite ? OutputMode::overwrite
                               : o.resume  ? OutputMode::resume
                                           : OutputMode::fresh);
  TemplateOptions prompt = template_options(o.prompt);
  // All rows see one instant, those of a resumed run the same as the earlier ones.
  if (prompt.date.empty()) {
    const Json& earlier = output.earlier_manifest();
    prompt.date = earlier.is_object() && earlier.contains("date") && earlier["date"].is_string()
                      ? earlier["date"].get<std::string>()
                      : now_text();
  }
  output.begin(manifest_of(o, defaults, prompt, input));
  output.expect(rows);
  return Batch(o, output).run(rows, defaults, prompt);
}

}  // namespace

void add_batch_command(CLI::App& app, Run& run) {
  const auto o = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("batch", "Answer every prompt of a file");
  add_model_name(command, o->model.model);
  command.add_option("--input", o->input, ".txt: a prompt per line; else JSON lines; - for standard input")
      ->required();
  command.add_option("--output", o->output, "Gets a JSON line per finished row; - for standard output")
      ->required();
  CLI::Option* resume = command.add_flag("--resume", o->resume, "Continue the output file where it ends");
  command.add_flag("--overwrite", o->overwrite, "Begin the output file anew")->excludes(resume);
  command.add_flag("--raw", o->raw, "Prompts are text to be continued: no chat template");
  command.add_flag("--token-ids", o->token_ids, "Results have token_ids");
  command.add_flag("--table", o->table, "Print questions and answers as a table at the end");
  command.add_option("--batch-size", o->engine.max_rows, "Rows computed side by side at most")
      ->capture_default_str();
  command.add_option("--context", o->engine.context, "Positions of a row at most; 0: the model's")
      ->capture_default_str();
  command.add_flag("--json", o->json, "Stats on standard error as one JSON object");
  command.add_flag("--quiet", o->quiet, "No progress, no stats");
  add_sampling_options(command, o->sampling);
  add_prompt_options(command, o->prompt);
  add_load_options(command, o->model.load);
  command.callback([&run, o] { run = [o] { return run_batch(*o); }; });
}

}  // namespace chorus::cli
