#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "chorus/error.h"
#include "weights/synthesize.h"

namespace chorus {
namespace {

// What OpenAI published as gpt-oss-20b, in the spelling of its config.json.
constexpr const char* gpt_oss_20b = R"({
  "architectures": ["GptOssForCausalLM"], "attention_bias": true, "attention_dropout": 0.0, "eos_token_id": 200002,
  "experts_per_token": 4, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2880, "initial_context_length": 4096,
  "initializer_range": 0.02, "intermediate_size": 2880, "layer_types": [], "max_position_embeddings": 131072,
  "model_type": "gpt_oss", "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24,
  "num_key_value_heads": 8, "num_local_experts": 32, "output_router_logits": false, "pad_token_id": 199999,
  "rms_norm_eps": 1e-05,
  "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
                   "rope_type": "yarn", "truncate": false},
  "rope_theta": 150000, "router_aux_loss_coef": 0.9, "sliding_window": 128, "swiglu_limit": 7.0,
  "tie_word_embeddings": false, "use_cache": true, "vocab_size": 201088})";

constexpr const char* tiny_differs = R"({
  "eos_token_id": 2, "pad_token_id": 1, "hidden_size": 128, "intermediate_size": 128, "num_attention_heads": 4,
  "num_key_value_heads": 2, "num_local_experts": 8, "num_hidden_layers": 4, "sliding_window": 16, "vocab_size": 512})";

struct Named {
  const char* name;
  const char* differs;
};
constexpr Named named[] = {
    {"gpt-oss-20b", "{}"},
    {"gpt-oss-20b-2layers", R"({"num_hidden_layers": 2})"},
    {"gpt-oss-tiny", tiny_differs},
};

Json alternating(int64_t layers) {
  Json types = Json::array();
  for (int64_t i = 0; i < layers; ++i) types.push_back(i % 2 == 0 ? "sliding_attention" : "full_attention");
  return types;
}

}  // namespace

Json synthetic_config(std::string_view name_or_file) {
  const auto* found =
      std::find_if(std::begin(named), std::end(named), [&](const Named& n) { return n.name == name_or_file; });
  if (found != std::end(named)) {
    Json config = parse_json(gpt_oss_20b, found->name);
    config.update(parse_json(found->differs, found->name));
    config["layer_types"] = alternating(config["num_hidden_layers"]);
    return config;
  }
  const std::filesystem::path file = expand_home(name_or_file);
  std::error_code ignored;
  if (std::filesystem::is_regular_file(file, ignored)) return read_json(file);
  throw Error(Fault::usage, "no such synthetic model, and no such file")
      .with("config", name_or_file)
      .with("known", "gpt-oss-20b, gpt-oss-20b-2layers, gpt-oss-tiny");
}

}  // namespace chorus
