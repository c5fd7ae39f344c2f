#include "app/cli/options.h"

#include <cmath>
#include <filesystem>

#include "base/json.h"
#include "chorus/error.h"
#include "weights/find_model.h"

namespace chorus::cli {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr Unit units[] = {{"", 1},         {"b", 1},        {"k", 1e3},      {"kb", 1e3},    {"m", 1e6},
                          {"mb", 1e6},     {"g", 1e9},      {"gb", 1e9},     {"t", 1e12},    {"tb", 1e12},
                          {"kib", 0x1p10}, {"mib", 0x1p20}, {"gib", 0x1p30}, {"tib", 0x1p40}};

Json parse_object(const std::string& option, const std::string& text) {
  try {
    Json value = parse_json(text, option);
    if (!value.is_object()) throw CLI::ValidationError(option, "must be a JSON object, got " + text);
    return value;
  } catch (const Error& e) {
    throw CLI::ValidationError(option, e.one_line());
  }
}

std::optional<double> number(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (!found->is_number())
    throw Error(Fault::model, "not a number in generation_config.json")
        .with("key", key)
        .with("actual", found->dump());
  return found->get<double>();
}

Json generation_config(const std::string& model) {
  const std::filesystem::path file = find_model(model) / "generation_config.json";
  if (!std::filesystem::exists(file)) return Json::object();
  Json config = read_json(file);
  if (!config.is_object()) throw Error(Fault::model, "not a JSON object").with("file", file.string());
  return config;
}

}  // namespace

uint64_t parse_bytes(std::string_view text) {
  const std::string lower = CLI::detail::to_lower(std::string(text));
  char* end = nullptr;
  const double value = std::strtod(lower.c_str(), &end);
  const std::string unit = CLI::detail::trim_copy(end);
  for (const Unit& u : units)
    if (end != lower.c_str() && unit == u.name && std::isfinite(value) && value > 0 && value * u.bytes < 0x1p60)
      return uint64_t(value * u.bytes);
  throw CLI::ValidationError("", "expected a size like 20GB or 512MiB, got " + std::string(text));
}

void add_model_name(CLI::App& command, std::string& model) {
  command
      .add_option("--model", model, "Model folder, or org/name in the LM Studio or Hugging Face folders on disk")
      ->required();
}

void add_load_options(CLI::App& command, LoadOptions& load) {
  command.add_option("--device", load.device, "auto, cpu, cuda or cuda:INDEX; for a batch also cuda:all or several, with commas")
      ->capture_default_str();
  command.add_option("--threads", load.threads, "CPU threads; 0: all that this process may use")
      ->capture_default_str();
  command.add_option("--precision", load.precision, "fast or exact (CPU)")->capture_default_str();
  command.add_option_function<std::string>(
      "--memory", [&load](const std::string& text) { load.memory_bytes = parse_bytes(text); },
      "Budget for weights, kv cache and workspace, e.g. 20GB; default: what is free, less a margin");
}

void add_sampling_options(CLI::App& command, SamplingOptions& s) {
  const std::string group = "Sampling (defaults: the model's generation_config.json)";
  const auto add = [&](const char* name, auto& value, const char* help) {
    command.add_option(name, value, help)->group(group);
  };
  add("--max-tokens", s.max_tokens, "Generated tokens per row at most; default 131072");
  add("--temp,--temperature", s.temperature, "0: the likeliest token; default 0 where the model says nothing");
  add("--top-p", s.top_p, "The fewest likeliest tokens that reach this probability");
  add("--top-k", s.top_k, "Only so many likeliest tokens; 0: all");
  add("--min-p", s.min_p, "Only tokens at least this fraction as likely as the likeliest");
  add("--repetition-penalty", s.repetition_penalty, "Divides the logits of tokens seen; 1: off");
  add("--presence-penalty", s.presence_penalty, "Taken once from the logit of a token seen");
  add("--frequency-penalty", s.frequency_penalty, "Taken for each time that a token was seen");
  command.add_option("--seed", s.seed, "Of every random draw")->group(group)->capture_default_str();
  command.add_option("--stop", s.stop, "Ends a row where this text appears; may be given several times")
      ->group(group)
      ->allow_extra_args(false);
}

SamplingParams sampling_params(const SamplingOptions& o, const std::string& model) {
  SamplingParams params;
  params.seed = o.seed;
  const Json config = generation_config(model);
  const auto set = [&](auto& field, const auto& option, const char* key) {
    if (option)
      field = *option;
    else if (const auto value = number(config, key))
      field = std::remove_reference_t<decltype(field)>(*value);
  };
  const auto sample = config.find("do_sample");
  const bool greedy = sample != config.end() && sample->is_boolean() && !sample->get<bool>();
  if (!greedy || o.temperature) set(params.temperature, o.temperature, "temperature");
  set(params.top_p, o.top_p, "top_p");
  set(params.top_k, o.top_k, "top_k");
  set(params.min_p, o.min_p, "min_p");
  set(params.repetition_penalty, o.repetition_penalty, "repetition_penalty");
  set(params.presence_penalty, o.presence_penalty, "presence_penalty");
  set(params.frequency_penalty, o.frequency_penalty, "frequency_penalty");
  return params;
}

StopRules stop_rules(const SamplingOptions& o) {
  StopRules rules;
  if (o.max_tokens) rules.max_tokens = *o.max_tokens;
  rules.stop = o.stop;
  return rules;
}

void add_prompt_options(CLI::App& command, PromptOptions& p) {
  const std::string group = "Chat template";
  command
      .add_option("--reasoning-effort", p.reasoning_effort, "minimal, low, medium, high: as the template knows")
      ->group(group);
  command.add_option("--model-identity", p.model_identity, "Who the model is told to be")->group(group);
  command
      .add_option_function<std::string>(
          "--kwargs,--template-kwargs",
          [&p](const std::string& text) { p.template_kwargs = parse_object("--template-kwargs", text); },
          "Any template variables, as a JSON object")
      ->group(group);
  command.add_option("--date", p.date, "YYYY-MM-DD: the date that the template sees; default: today")
      ->group(group);
}

TemplateOptions template_options(const PromptOptions& p) {
  TemplateOptions options;
  options.date = p.date;
  if (p.reasoning_effort) options.kwargs["reasoning_effort"] = *p.reasoning_effort;
  if (p.model_identity) options.kwargs["model_identity"] = *p.model_identity;
  options.kwargs.update(p.template_kwargs);
  return options;
}

}  // namespace chorus::cli
