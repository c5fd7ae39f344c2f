#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/roofline.h"
#include "app/cli/synthetic.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "chorus/engine.h"
#include "chorus/error.h"

namespace chorus::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
  ModelOptions model;
  std::string synthetic, synthetic_dir;
  std::vector<int64_t> batch = {1, 8, 29, 101};
  int64_t prompt_tokens = 70, generate = 256, step_tokens = 0;
  uint64_t seed = 0;
  bool roofline = false, json = false;
};

struct Measured {
  int64_t batch;
  bool together;               // every row gave a token in one step: with that, prefill ends
  double prefill_s, decode_s;  // decode: the steps after it in which every row decodes; there may be none
  double prefill_tokens, decode_tokens, generated;
  double step_s;                                // median of those steps
  StepCost cost;                                // of a step half-way through
  std::vector<OpCost> prefill_ops, decode_ops;  // with --roofline
  double all_decode_s;                          // with the steps in which some rows have ended
  uint64_t device_bytes, kv_bytes;              // of the device, taken at the end
  double bandwidth;                             // just before and just after, the mean
};

struct Roofs {
  double bandwidth, copy_bandwidth, one_thread, macs;  // copies: of a device; the latter two with --roofline
  bool of_host;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

fs::path cache_folder() {
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  return (xdg != nullptr && *xdg != '\0' ? fs::path(xdg) : expand_home("~/.cache")) / "chorus" / "synthetic";
}

// Written once, under its name only when it is whole.
std::string synthetic_model(const Options& o) {
  const Json config = synthetic_config(o.synthetic);
  const fs::path folder =
      (o.synthetic_dir.empty() ? cache_folder() : expand_home(o.synthetic_dir)) / fs::path(o.synthetic).stem();
  if (fs::exists(folder / "config.json")) return folder.string();
  const fs::path partial = folder.string() + ".partial-" + std::to_string(::getpid());
  fs::create_directories(folder.parent_path());
  synthesize_with_progress(config, partial, {.seed = 0, .threads = o.model.load.threads});
  fs::rename(partial, folder);
  return folder.string();
}

TokenIds random_prompt(std::mt19937_64& random, int64_t tokens, int64_t vocabulary) {
  TokenIds ids;
  for (int64_t i = 0; i < tokens; ++i) ids.push_back(int32_t(random() % uint64_t(vocabulary)));
  return ids;
}

Measured measure(const Model& model, const Options& o, int64_t batch, bool profile) {
  Engine engine(model, {.max_rows = batch,
                        .max_step_tokens = o.step_tokens,
                        .context = o.prompt_tokens + o.generate + 1,
                        .share_prefixes = false});
  std::mt19937_64 random(o.seed);
  for (int64_t row = 0; row < batch; ++row)
    engine.add({.id = std::to_string(row),
                .prompt = random_prompt(random, o.prompt_tokens, model.vocabulary()),
                .sampling = {},
                .stop = {.max_tokens = o.generate, .stop = {}, .stop_token_ids = {}, .ignore_eos = true}});
  Measured m{.batch = batch,
             .together = false,
             .prefill_s = 0,
             .decode_s = 0,
             .prefill_tokens = 0,
             .decode_tokens = 0,
             .generated = 0,
             .step_s = 0,
             .cost = step_cost(model, batch, o.prompt_tokens + o.generate / 2),
             .prefill_ops = {},
             .decode_ops = {},
             .all_decode_s = 0,
             .device_bytes = 0,
             .kv_bytes = engine.kv_bytes(),
             .bandwidth = 0};
  std::vector<double> steps;
  int64_t tokens = 0, finished = 0;
  const auto count = [&](const Event& event) {
    if (std::holds_alternative<TokenEvent>(event)) ++tokens;
    if (const auto* end = std::get_if<FinishedEvent>(&event)) {
      ++finished;
      if (end->result.error) throw Error(Fault::internal, "a row failed").with("error", *end->result.error);
    }
  };
  if (profile) start_profile(model);
  for (;;) {
    const int64_t before = tokens;
    const Clock::time_point begin = Clock::now();
    if (!engine.step(count)) break;
    const double seconds = seconds_since(begin);
    (m.together ? m.all_decode_s : m.prefill_s) += seconds;
    if (m.together && tokens - before == batch) steps.push_back(seconds);
    if (tokens - before < batch || m.together) continue;
    m.together = true;  // every row has its prompt behind it
    if (!profile) continue;
    m.prefill_ops = end_profile(model);
    start_profile(model);
  }
  if (profile) (m.together ? m.decode_ops : m.prefill_ops) = end_profile(model);
  m.device_bytes = used_device_bytes(model);
  m.prefill_tokens = double(batch * o.prompt_tokens);
  m.generated = double(tokens);
  for (const double s : steps) m.decode_s += s;
  m.decode_tokens = double(int64_t(steps.size()) * batch);
  if (!steps.empty()) {
    std::nth_element(steps.begin(), steps.begin() + int64_t(steps.size() / 2), steps.end());
    m.step_s = steps[steps.size() / 2];
  }
  return m;
}

double per_second(double tokens, double seconds) {
  return seconds > 0 ? tokens / seconds : 0;
}

// Of the steps until all rows have their prompts behind them; 0: there was no such moment.
double prefill_tps(const Measured& m) {
  return m.together ? per_second(m.prefill_tokens, m.prefill_s) : 0;
}

// A device loads kernels when they are first launched: rows that fill a step come before those that are measured.
void warm_up(const Model& model, Options o, int64_t batch) {
  constexpr int64_t step_tokens = 2048;
  o.generate = 4;
  measure(model, o, std::min(batch, (step_tokens + o.prompt_tokens - 1) / o.prompt_tokens), false);
}

// On a device, ops are timed one by one by its own clock, and what they take is set beside steps that are not.
Measured measure(const Model& model, const Options& o, int64_t batch) {
  const bool twice = o.roofline && used_device_bytes(model) > 0;
  if (used_device_bytes(model) > 0) warm_up(model, o, batch);
  Measured m = measure(model, o, batch, o.roofline && !twice);
  if (!twice) return m;
  Measured timed = measure(model, o, batch, true);
  m.prefill_ops = std::move(timed.prefill_ops);
  m.decode_ops = std::move(timed.decode_ops);
  return m;
}

Json to_json(const std::vector<OpCost>& ops) {
  Json list = Json::array();
  for (const OpCost& op : ops)
    list.push_back(
        {{"op", op.name}, {"calls", op.calls}, {"seconds", op.seconds}, {"bytes", op.bytes}, {"macs", op.macs}});
  return list;
}

Json to_json(const Measured& m) {
  Json json = {{"batch", m.batch},
               {"prefill_tokens", m.prefill_tokens},
               {"prefill_s", m.prefill_s},
               {"prefill_tps", prefill_tps(m)},
               {"decode_tokens", m.decode_tokens},
               {"decode_s", m.decode_s},
               {"decode_tps", per_second(m.decode_tokens, m.decode_s)},
               {"whole_tps", m.generated / (m.prefill_s + m.all_decode_s)},
               {"step_ms", m.step_s * 1e3},
               {"step_bytes", m.cost.bytes},
               {"step_macs", m.cost.macs},
               {"read_bandwidth", m.bandwidth},
               {"bandwidth_share", m.step_s > 0 ? m.cost.bytes / m.step_s / m.bandwidth : 0}};
  if (m.device_bytes > 0) json["device_bytes"] = m.device_bytes;
  json["kv_bytes"] = m.kv_bytes;
  if (!m.prefill_ops.empty()) json["prefill_ops"] = to_json(m.prefill_ops);
  if (!m.decode_ops.empty()) json["decode_ops"] = to_json(m.decode_ops);
  return json;
}

// Where a phase's time went; the last line is what lies between the ops: scheduling, events, the host's sampling. On a
// device it may be negative: there ops overlap.
std::string op_table(std::string_view phase, std::vector<OpCost> ops, double seconds, double bandwidth,
                     double macs) {
  std::ranges::sort(ops, std::greater(), &OpCost::seconds);
  std::string text = fmt::format("  {:<30}  {:>8}  {:>7}  {:>8}  {:>9}  {:>8}  {:>9}\n", phase, "seconds", "share",
                                 "GB/s", "of limit", "GMAC/s", "of limit");
  double rest = seconds;
  for (const OpCost& op : ops) {
    rest -= op.seconds;
    text += fmt::format("  {:<30}  {:>8.3f}  {:>5.1f} %", op.name, op.seconds, 100 * op.seconds / seconds);
    if (op.macs > 0)
      text += fmt::format("  {:>8.2f}  {:>7.1f} %  {:>8.1f}  {:>7.1f} %", op.bytes / op.seconds / 1e9,
                          100 * op.bytes / op.seconds / bandwidth, op.macs / op.seconds / 1e9,
                          100 * op.macs / op.seconds / macs);
    text += "\n";
  }
  return text + fmt::format("  {:<30}  {:>8.3f}  {:>5.1f} %\n", "between the ops", rest, 100 * rest / seconds);
}

// What was not measured is a dash.
std::string figure(double value, int decimals) {
  return value > 0 ? fmt::format("{:.{}f}", value, decimals) : "-";
}

std::string table_line(const Measured& m, bool roofline) {
  std::string line =
      fmt::format("{:>5}  {:>11}  {:>11}  {:>9.1f}  {:>9}  {:>10}  {:>9} %  {:>7.1f}", m.batch,
                  figure(prefill_tps(m), 1), figure(per_second(m.decode_tokens, m.decode_s), 1),
                  m.generated / (m.prefill_s + m.all_decode_s), figure(m.step_s * 1e3, 2), bytes_text(m.cost.bytes),
                  figure(100 * per_second(m.cost.bytes, m.step_s) / m.bandwidth, 1), m.bandwidth / 1e9);
  if (roofline)
    line += fmt::format("  {:>9.2f}  {:>8}", m.cost.macs / 1e9, figure(per_second(m.cost.macs, m.step_s) / 1e9, 1));
  if (m.decode_s == 0)
    line += fmt::format("\n       in no step did all {} rows decode: give them more --generate or --memory", m.batch);
  return line + "\n";
}

std::string memory_line(const Model& model, const Measured& m) {
  const double weights = double(model.weight_bytes()), kv = double(m.kv_bytes);
  return fmt::format("       device memory: {} (weights {}, kv cache {}, all else {})\n",
                     bytes_text(double(m.device_bytes)), bytes_text(weights), bytes_text(kv),
                     bytes_text(double(m.device_bytes) - weights - kv));
}

Roofs measure_roofs(const Model& model, const Options& o, int threads) {
  const DeviceBandwidth device = measure_bandwidth(model);
  const bool of_host = device.read == 0;
  return {.bandwidth = of_host ? measure_read_bandwidth(threads) : device.read,
          .copy_bandwidth = device.copy,
          .one_thread = o.roofline && of_host ? measure_read_bandwidth(1) : 0,
          .macs = o.roofline ? measure_mac_rate(model) : 0,
          .of_host = of_host};
}

void print_roofs(const Roofs& roofs, int threads, bool roofline) {
  if (roofs.copy_bandwidth > 0)
    print(fmt::format("device memory: {:.0f} GB/s read, {:.0f} GB/s copied (read and written)\n",
                      roofs.bandwidth / 1e9, roofs.copy_bandwidth / 1e9));
  else
    print(fmt::format("memory read bandwidth, {} threads: {:.2f} GB/s\n", threads, roofs.bandwidth / 1e9));
  if (!roofline) return;
  if (roofs.one_thread > 0)
    print(fmt::format("memory read bandwidth, 1 thread: {:.2f} GB/s\n", roofs.one_thread / 1e9));
  print(fmt::format("multiply-adds: {:.0f} GMAC/s\n", roofs.macs / 1e9));
}

int run_bench(Options o) {
  if (!o.synthetic.empty()) o.model.model = synthetic_model(o);
  const int threads = o.model.load.threads > 0 ? o.model.load.threads : usable_threads();
  const Clock::time_point begin_load = Clock::now();
  const Model model = load_model(o.model.model, o.model.load);
  const double load_s = seconds_since(begin_load);
  const Roofs roofs = measure_roofs(model, o, threads);
  double bandwidth = roofs.bandwidth;
  Json rows = Json::array();
  if (!o.json) {
    print(fmt::format("{} on {}: weights {}, {} prompt tokens and {} generated per row\n", o.model.model,
                      model.device(), bytes_text(double(model.weight_bytes())), o.prompt_tokens, o.generate));
    print_roofs(roofs, threads, o.roofline);
    print(fmt::format("load: {:.2f} s\n", load_s));
    print(std::string("batch  prefill t/s   decode t/s  whole t/s    step ms  bytes/step  of bandwidth     GB/s") +
          (o.roofline ? "  GMAC/step   GMAC/s" : "") + "\n");
  }
  for (const int64_t batch : o.batch) {
    Measured m = measure(model, o, batch);
    const double before = bandwidth;
    if (roofs.of_host) bandwidth = measure_read_bandwidth(threads);  // other programs' share of it changes
    m.bandwidth = (before + bandwidth) / 2;
    if (o.json)
      rows.push_back(to_json(m));
    else
      print(table_line(m, o.roofline) + (m.device_bytes > 0 ? memory_line(model, m) : ""));
    if (o.json || !o.roofline) continue;
    print(op_table(m.together ? "prefill" : "all steps", m.prefill_ops, m.prefill_s, m.bandwidth, roofs.macs));
    if (m.decode_s > 0) print(op_table("decode", m.decode_ops, m.all_decode_s, m.bandwidth, roofs.macs));
  }
  if (!o.json) return exit_ok;
  Json result = {{"model", o.model.model},
                 {"device", model.device()},
                 {"threads", threads},
                 {"weight_bytes", model.weight_bytes()},
                 {"read_bandwidth", roofs.bandwidth},
                 {"prompt_tokens", o.prompt_tokens},
                 {"generate", o.generate},
                 {"batches", rows}};
  result["load_s"] = load_s;
  if (roofs.copy_bandwidth > 0) result["copy_bandwidth"] = roofs.copy_bandwidth;
  if (roofs.one_thread > 0) result["read_bandwidth_1_thread"] = roofs.one_thread;
  if (o.roofline) result["mac_rate"] = roofs.macs;
  print_json(result);
  return exit_ok;
}

}  // namespace

void add_bench_command(CLI::App& app, Run& run) {
  const auto o = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("bench", "Throughput beside the machine's measured memory bandwidth");
  CLI::App& source = *command.add_option_group("Model");
  source.add_option("--model", o->model.model, "Model folder or org/name");
  source.add_option("--synthetic", o->synthetic, "Random weights: gpt-oss-20b, gpt-oss-20b-2layers, gpt-oss-tiny");
  source.require_option(1);
  command.add_option("--synthetic-dir", o->synthetic_dir,
                     "Where those are kept; default ~/.cache/chorus/synthetic");
  command.add_option("--batch", o->batch, "Rows at a time, separated by commas")
      ->delimiter(',')
      ->check(a_count())
      ->capture_default_str();
  command.add_option("--prompt-tokens", o->prompt_tokens, "Per row")
      ->check(a_count())
      ->capture_default_str();
  command.add_option("--generate", o->generate, "Tokens per row")
      ->check(CLI::Range(2, 1 << 30))
      ->capture_default_str();
  command.add_option("--step-tokens", o->step_tokens, "Tokens of a step at most: decode rows and prefill chunks (512; 2048 on a GPU)")
      ->check(a_count());
  command.add_option("--seed", o->seed, "Of the random prompts")->capture_default_str();
  command.add_flag("--roofline", o->roofline, "Also where the time goes, op by op, beside the machine's limits");
  command.add_flag("--json", o->json, "Print one JSON object");
  add_load_options(command, o->model.load);
  command.callback([&run, o] { run = [o] { return run_bench(*o); }; });
}

}  // namespace chorus::cli
