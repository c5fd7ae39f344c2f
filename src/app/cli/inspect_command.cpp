#include <fmt/format.h>

#include <map>
#include <regex>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "base/memory.h"
#include "weights/find_model.h"
#include "weights/weights.h"

namespace chorus::cli {
namespace {

struct Options {
  std::string model;
  int64_t context = 4096;
  std::vector<int64_t> batch = {1, 8, 29, 101};
  bool json = false;
};

/// The modules whose names differ in numbers only: "model.layers.*.mlp.router".
struct ModuleKind {
  std::string format, shape;
  int64_t modules = 0;
  uint64_t bytes = 0, parameters = 0;
};

struct Part {
  std::string module, part;  // "lm_head", "weight"
};

Part split(const std::string& name) {
  for (const char* part : {"weight", "scales", "biases", "bias"})
    if (name.ends_with(std::string(".") + part))
      return {name.substr(0, name.size() - std::strlen(part) - 1), part};
  for (const char* part : {"blocks", "scales", "bias"})  // OpenAI's experts
    if (name.ends_with(std::string("_") + part))
      return {name.substr(0, name.size() - std::strlen(part) - 1), part};
  return {name, "weight"};
}

std::string kind_of(const std::string& module) {
  static const std::regex number("\\.[0-9]+(?=\\.|$)");
  return std::regex_replace(module, number, ".*");
}

uint64_t elements(const StoredTensor& tensor) {
  uint64_t n = 1;
  for (const int64_t size : tensor.sizes) n *= uint64_t(size);
  return n;
}

// A code of `bits` stands for one parameter; the scales and quantisation biases beside it for none.
uint64_t parameters(const Weights& weights, const Part& p, const StoredTensor& tensor) {
  if (p.part == "scales" || p.part == "biases") return 0;
  if (p.part == "blocks") return elements(tensor) * 2;  // two FP4 codes per byte
  const bool quantised = p.part == "weight" && weights.has(p.module + ".scales");
  if (!quantised) return elements(tensor);
  return tensor.bytes * 8 / uint64_t(weights.quantization().of(p.module).quantization.bits);
}

std::string format_of(const Weights& weights, const Part& p, const StoredTensor& tensor) {
  if (p.part == "blocks") return "mxfp4, 4 bits, groups of 32";
  if (weights.has(p.module + ".scales")) return text_of(weights.quantization().of(p.module).quantization);
  return std::string(tensor.dtype_name);
}

std::map<std::string, ModuleKind> kinds_of(const Weights& weights) {
  std::map<std::string, ModuleKind> kinds;
  for (const Weights::Info& info : weights.tensors()) {
    const Part p = split(info.name);
    ModuleKind& kind = kinds[kind_of(p.module)];
    if (p.part == "weight" || p.part == "blocks") {
      ++kind.modules;
      kind.format = format_of(weights, p, *info.stored);
      kind.shape = info.stored->shape_text();
    }
    kind.bytes += info.stored->bytes;
    kind.parameters += parameters(weights, p, *info.stored);
  }
  return kinds;
}

int64_t integer(const Json& config, const char* key, int64_t otherwise) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number_integer() ? found->get<int64_t>() : otherwise;
}

/// Bytes of keys and values of one row: bf16, windowed layers hold their window.
uint64_t kv_bytes(const Json& config, int64_t context) {
  const int64_t heads = integer(config, "num_attention_heads", 1);
  const int64_t kv_heads = integer(config, "num_key_value_heads", heads);
  const int64_t head_dim =
      integer(config, "head_dim", integer(config, "hidden_size", 0) / std::max<int64_t>(heads, 1));
  const int64_t window = integer(config, "sliding_window", 0);
  const auto types = config.find("layer_types");
  uint64_t positions = 0;
  for (int64_t layer = 0; layer < integer(config, "num_hidden_layers", 0); ++layer) {
    const bool sliding = window > 0 && types != config.end() && types->is_array() &&
                         size_t(layer) < types->size() && (*types)[size_t(layer)] == "sliding_attention";
    positions += uint64_t(sliding ? std::min(window, context) : context);
  }
  return positions * uint64_t(kv_heads * head_dim) * 2 /* k and v */ * 2 /* bf16 */;
}

struct Totals {
  uint64_t bytes = 0, parameters = 0;
  double bits_per_weight() const { return parameters == 0 ? 0 : double(bytes) * 8 / double(parameters); }
};

void print_table(const Options& o, const Weights& weights, const std::map<std::string, ModuleKind>& kinds,
                 const Totals& totals) {
  const Json& config = weights.config();
  print(fmt::format("{}\n{}, {} layers, hidden {}, vocabulary {}, context {}\n", weights.folder().string(),
                    config.value("model_type", "?"), integer(config, "num_hidden_layers", 0),
                    integer(config, "hidden_size", 0), integer(config, "vocab_size", 0),
                    integer(config, "max_position_embeddings", 0)));
  print(fmt::format("{:.3f} billion parameters, {} in {} tensors, {:.2f} bits per weight\n\n",
                    double(totals.parameters) / 1e9, bytes_text(double(totals.bytes)), weights.tensors().size(),
                    totals.bits_per_weight()));
  size_t width = 6;
  for (const auto& [name, kind] : kinds) width = std::max(width, name.size());
  print(fmt::format("{:<{}}  count  {:<32} {:<20} {:>9}\n", "module", width, "format", "stored shape", "bytes"));
  for (const auto& [name, k] : kinds)
    print(fmt::format("{:<{}}  {:>5}  {:<32} {:<20} {:>9}\n", name, width, k.modules, k.format, k.shape,
                      bytes_text(double(k.bytes))));
  print(fmt::format("\nmemory for weights and {} positions per row ({} available now)\n", o.context,
                    bytes_text(double(available_memory()))));
  for (const int64_t rows : o.batch) {
    const double kv = double(rows) * double(kv_bytes(config, o.context));
    print(fmt::format("{:>5} rows: kv cache {:>8}, with the weights {:>8}\n", rows, bytes_text(kv),
                      bytes_text(kv + double(totals.bytes))));
  }
}

Json json_of(const Options& o, const Weights& weights, const std::map<std::string, ModuleKind>& kinds,
             const Totals& totals) {
  Json modules = Json::array(), plan = Json::array();
  for (const auto& [name, k] : kinds)
    modules.push_back({{"module", name},
                       {"count", k.modules},
                       {"format", k.format},
                       {"shape", k.shape},
                       {"bytes", k.bytes},
                       {"parameters", k.parameters}});
  for (const int64_t rows : o.batch)
    plan.push_back({{"rows", rows},
                    {"context", o.context},
                    {"kv_bytes", uint64_t(rows) * kv_bytes(weights.config(), o.context)}});
  return {{"folder", weights.folder().string()},
          {"model_type", weights.config().value("model_type", "")},
          {"tensors", weights.tensors().size()},
          {"bytes", totals.bytes},
          {"parameters", totals.parameters},
          {"bits_per_weight", totals.bits_per_weight()},
          {"available_memory", available_memory()},
          {"modules", modules},
          {"memory_plan", plan}};
}

int run_inspect(const Options& o) {
  const Weights weights = Weights::open(find_model(o.model));
  const auto kinds = kinds_of(weights);
  Totals totals;
  for (const auto& [name, kind] : kinds) {
    totals.bytes += kind.bytes;
    totals.parameters += kind.parameters;
  }
  if (o.json)
    print_json(json_of(o, weights, kinds, totals));
  else
    print_table(o, weights, kinds, totals);
  return exit_ok;
}

}  // namespace

void add_inspect_command(CLI::App& app, Run& run) {
  const auto o = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("inspect", "What is in a model folder, and the memory that a batch takes");
  add_model_name(command, o->model);
  command.add_option("--batch", o->batch, "Rows of the memory plan, separated by commas")
      ->delimiter(',')
      ->check(a_count())
      ->capture_default_str();
  command.add_option("--context", o->context, "Positions per row of the memory plan")
      ->check(a_count())
      ->capture_default_str();
  command.add_flag("--json", o->json, "Print one JSON object");
  command.callback([&run, o] { run = [o] { return run_inspect(*o); }; });
}

}  // namespace chorus::cli
