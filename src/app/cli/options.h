#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "chorus/chat.h"
#include "chorus/model.h"
#include "chorus/request.h"

namespace chorus::cli {

/// The options that several commands share, each group declared once.
struct ModelOptions {
  std::string model;
  LoadOptions load;
};
void add_model_name(CLI::App& command, std::string& model);
void add_load_options(CLI::App& command, LoadOptions& load);  ///< all of it but --model

/// What was not given comes from the model folder's generation_config.json, then from SamplingParams and
/// StopRules.
struct SamplingOptions {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k, max_tokens;
  uint64_t seed = 0;
  std::vector<std::string> stop;
};
void add_sampling_options(CLI::App& command, SamplingOptions& sampling);
SamplingParams sampling_params(const SamplingOptions& options, const std::string& model);
StopRules stop_rules(const SamplingOptions& options);

struct PromptOptions {
  std::optional<std::string> reasoning_effort, model_identity;
  Json template_kwargs = Json::object();
  std::string date;
};
void add_prompt_options(CLI::App& command, PromptOptions& prompt);
TemplateOptions template_options(const PromptOptions& options);

/// What counts something must be 1 or more.
inline CLI::Range a_count() {
  return {1, 1 << 30};
}
/// "20GB", "512 MiB", "1.5e9": bytes. Throws CLI::ValidationError.
uint64_t parse_bytes(std::string_view text);

}  // namespace chorus::cli
