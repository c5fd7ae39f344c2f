// gpt-oss (OpenAI 2025). Pre-norm decoder; sliding and full attention alternate; learned attention sinks; YaRN rope;
// top-k experts with a clamped swiglu.
// T tokens of the step (all rows packed), H hidden, I intermediate, N query heads, G kv heads, D head_dim, E experts,
// K experts per token, L tokens whose logits are wanted, V vocabulary.
#include "model/gpt_oss.h"

#include <cmath>

#include "chorus/error.h"
#include "model/config.h"

namespace chorus {
namespace {

struct GptOssConfig {
  int64_t hidden, intermediate, heads, kv_heads, head_dim, layers, experts, experts_per_token, vocabulary, context;
  int64_t sliding_window;
  float eps, swiglu_limit;
  std::vector<bool> sliding;  // per layer
  RopeConfig rope;
};

struct Layer {
  Tensor attn_norm, mlp_norm;   // [H]
  Linear qkv, o;                // H -> (N + 2G)*D, N*D -> H
  Tensor sinks;                 // [N], an extra softmax logit per query head
  int64_t window;               // tokens a query sees; 0 = all
  size_t pool;                  // layers of one window share block tables
  Linear router;                // H -> E
  ExpertLinear gate, up, down;  // E times: H -> I, H -> I, I -> H
};

class GptOss final : public LanguageModel {
 public:
  GptOss(Weights& weights, Backend& backend);

  Tensor forward(Ops& ops, const Step& step, const KvCache& kv) const override;
  const KvShape& kv_shape() const override { return kv_shape_; }
  int64_t vocabulary() const override { return config_.vocabulary; }
  int64_t context() const override { return config_.context; }
  int64_t query_heads_per_kv_head() const override { return config_.heads / config_.kv_heads; }
  double step_weight_bytes(int64_t tokens) const override;
  double token_macs(bool logits) const override;

 private:
  GptOssConfig config_;
  KvShape kv_shape_;
  Matrix embed_tokens_;
  std::vector<Layer> layers_;
  Tensor norm_;              // [H]
  Linear lm_head_;           // H -> V
  Tensor rope_frequencies_;  // [D/2]
};

void add_attention(Ops& ops, const GptOssConfig& c, const Layer& w, const Step& step, const KvLayer& kv,
                   const Tensor& angles, const Tensor& normed, const Tensor& x) {
  const Arena::Scope temporaries = ops.scope();
  const Step::Pool& pool = step.pools[w.pool];
  const Tensor q = ops.qkv_rope_store(normed, w.qkv, angles, pool.slots, kv);  // [T, N, D]
  const Tensor mixed = ops.paged_attention({.q = q,
                                            .kv = kv,
                                            .positions = step.positions,
                                            .row_of_token = step.row_of_token,
                                            .block_tables = pool.block_tables,
                                            .first_block = pool.first_block,
                                            .scale = 1 / std::sqrt(float(c.head_dim)),
                                            .window = w.window,
                                            .sinks = w.sinks,
                                            .out = {},
                                            .longest = step.longest});  // [T, N, D]
  ops.add_linear(x, mixed.view({step.tokens(), c.heads * c.head_dim}), w.o);
}

void add_experts(Ops& ops, const GptOssConfig& c, const Layer& w, const Tensor& x, const Tensor& next_norm,
                 const Tensor& next_normed) {
  const Arena::Scope temporaries = ops.scope();
  const auto [normed, ids, weights] =  // [T, H], [T, K], [T, K]
      ops.norm_and_route(x, w.mlp_norm, c.eps, w.router, c.experts_per_token);
  ops.add_expert_mlp(x, {.x = normed,
                         .experts = ids,
                         .weights = weights,
                         .gate = w.gate,
                         .up = w.up,
                         .down = w.down,
                         .activation = {.alpha = 1.702f, .limit = c.swiglu_limit},
                         .out = {},
                         .next_norm = next_norm,
                         .eps = c.eps,
                         .next_normed = next_normed});
}

Tensor GptOss::forward(Ops& ops, const Step& step, const KvCache& kv) const {
  const Tensor x = ops.embedding(embed_tokens_, step.token_ids);                              // [T, H]
  const Tensor angles = ops.rope_angles(step.positions, rope_frequencies_, config_.rope.scale);  // [T, 2, D/2]
  const Tensor normed = ops.rms_norm(x, layers_[0].attn_norm, config_.eps);  // [T, H], what a layer's attention takes
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& w = layers_[i];
    const Tensor next_norm = i + 1 < layers_.size() ? layers_[i + 1].attn_norm : Tensor();
    add_attention(ops, config_, w, step, kv.layers[i], angles, normed, x);  // x += o(attention(normed))
    add_experts(ops, config_, w, x, next_norm, normed);  // x += experts(norm(x)); normed = next_norm(x)
  }
  const Tensor last = ops.rows(x, step.logit_tokens);  // a prefill wants logits of its last token only
  return ops.linear(ops.rms_norm(last, norm_, config_.eps), lm_head_);  // [L, V]
}

// --- loading -------------------------------------------------------------------------------------------------------

std::vector<bool> sliding_layers(const Json& json, int64_t layers) {
  const Json* types = Config(json).find("layer_types");
  std::vector<bool> sliding;
  if (types == nullptr) {
    for (int64_t i = 0; i < layers; ++i) sliding.push_back(i % 2 == 0);
    return sliding;
  }
  if (!types->is_array() || int64_t(types->size()) != layers)
    throw Error(Fault::model, "config.json has a bad value")
        .with("key", "layer_types")
        .with("expected", "a list of " + std::to_string(layers) + " layer types");
  for (const Json& type : *types) {
    if (type != "sliding_attention" && type != "full_attention")
      throw Error(Fault::model, "config.json has a bad value")
          .with("key", "layer_types")
          .with("expected", "sliding_attention or full_attention")
          .with("actual", type.dump());
    sliding.push_back(type == "sliding_attention");
  }
  return sliding;
}

GptOssConfig read_config(const Json& json) {
  const Config c(json);
  constexpr int64_t large = 1 << 24;
  GptOssConfig config{
      .hidden = c.integer("hidden_size", 1, large),
      .intermediate = c.integer("intermediate_size", 1, large),
      .heads = c.integer("num_attention_heads", 1, 4096),
      .kv_heads = c.integer("num_key_value_heads", 1, 4096),
      .head_dim = 0,
      .layers = c.integer("num_hidden_layers", 1, 1024),
      .experts = c.integer("num_local_experts", 1, 65536),
      .experts_per_token = c.find("num_experts_per_tok") != nullptr ? c.integer("num_experts_per_tok", 1, 1024)
                                                                    : c.integer("experts_per_token", 1, 1024),
      .vocabulary = c.integer("vocab_size", 1, large),
      .context = c.integer_or("max_position_embeddings", 131072, 1, int64_t(1) << 30),
      .sliding_window = c.integer("sliding_window", 1, large),
      .eps = float(c.number_or("rms_norm_eps", 1e-5)),
      .swiglu_limit = float(c.number_or("swiglu_limit", 7)),
      .sliding = {},
      .rope = {}};
  config.head_dim = c.integer_or("head_dim", config.hidden / config.heads, 2, 4096);
  if (config.heads % config.kv_heads != 0)
    throw Error(Fault::model, "num_attention_heads is not a multiple of num_key_value_heads")
        .with("num_attention_heads", config.heads).with("num_key_value_heads", config.kv_heads);
  if (config.experts_per_token > config.experts)
    throw Error(Fault::model, "more experts per token than experts")
        .with("experts per token", config.experts_per_token).with("experts", config.experts);
  config.sliding = sliding_layers(json, config.layers);
  config.rope = rope_config(json, config.head_dim);
  return config;
}

KvShape kv_shape_of(const GptOssConfig& c) {
  KvShape shape{.pools = {}, .pool_of_layer = {}, .kv_heads = c.kv_heads, .head_dim = c.head_dim};
  int pool_of_kind[2] = {-1, -1};
  for (const bool sliding : c.sliding) {
    int& pool = pool_of_kind[sliding ? 1 : 0];
    if (pool < 0) {
      pool = int(shape.pools.size());
      shape.pools.push_back({.window = sliding ? c.sliding_window : 0, .layers = 0});
    }
    ++shape.pools[size_t(pool)].layers;
    shape.pool_of_layer.push_back(pool);
  }
  return shape;
}

/// A layer's tensors where they lie in the files.
struct LayerFiles {
  Tensor attn_norm, mlp_norm, sinks;
  Linear q, k, v, o, router;
  ExpertLinear gate, up, down;
};

LayerFiles find_layer(Weights& w, const GptOssConfig& c, const std::string& layer) {
  const std::string attn = layer + "self_attn.", mlp = layer + "mlp.";
  const int64_t mixed = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  return {.attn_norm = w.tensor(layer + "input_layernorm.weight", {c.hidden}),
          .mlp_norm = w.tensor(layer + "post_attention_layernorm.weight", {c.hidden}),
          .sinks = w.tensor(attn + "sinks", {c.heads}),
          .q = w.linear(attn + "q_proj", c.hidden, mixed),
          .k = w.linear(attn + "k_proj", c.hidden, kv),
          .v = w.linear(attn + "v_proj", c.hidden, kv),
          .o = w.linear(attn + "o_proj", mixed, c.hidden),
          .router = w.linear(mlp + "router", c.hidden, c.experts),
          .gate = w.expert_linear(mlp + "experts.gate_proj", c.experts, c.hidden, c.intermediate),
          .up = w.expert_linear(mlp + "experts.up_proj", c.experts, c.hidden, c.intermediate),
          .down = w.expert_linear(mlp + "experts.down_proj", c.experts, c.intermediate, c.hidden)};
}

Linear place(Backend& backend, const Weights& weights, std::initializer_list<Linear> parts) {
  Linear placed = backend.place(std::span(parts.begin(), parts.size()));
  for (const Linear& part : parts) weights.drop(part.weight);
  return placed;
}

std::pair<ExpertLinear, ExpertLinear> place_gate_up(Backend& backend, const Weights& weights, const LayerFiles& f) {
  std::pair<ExpertLinear, ExpertLinear> placed = backend.place_gate_up(f.gate, f.up);
  weights.drop(f.gate.weight);
  weights.drop(f.up.weight);
  return placed;
}

ExpertLinear place(Backend& backend, const Weights& weights, const ExpertLinear& experts) {
  ExpertLinear placed = backend.place(experts);
  weights.drop(experts.weight);
  return placed;
}

void read_ahead(const Weights& weights, const LayerFiles& f) {
  for (const Matrix* m : {&f.q.weight, &f.k.weight, &f.v.weight, &f.o.weight, &f.router.weight, &f.gate.weight,
                          &f.up.weight, &f.down.weight})
    weights.read_ahead(*m);
}

GptOss::GptOss(Weights& weights, Backend& backend)
    : config_(read_config(weights.config())), kv_shape_(kv_shape_of(config_)) {
  // First everything is found and checked, so that all problems come in one message; then it is placed.
  const Linear embed = weights.linear("model.embed_tokens", config_.hidden, config_.vocabulary, Weights::Bias::none);
  std::vector<LayerFiles> files;
  for (int64_t i = 0; i < config_.layers; ++i)
    files.push_back(find_layer(weights, config_, "model.layers." + std::to_string(i) + "."));
  const Tensor norm = weights.tensor("model.norm.weight", {config_.hidden});
  const bool tied = Config(weights.config()).flag_or("tie_word_embeddings", false);
  const Linear head =
      tied ? embed : weights.linear("lm_head", config_.hidden, config_.vocabulary, Weights::Bias::none);
  weights.throw_problems();

  weights.read_ahead(embed.weight);
  read_ahead(weights, files[0]);
  embed_tokens_ = backend.place_table(embed.weight);
  weights.drop(embed.weight);
  for (int64_t i = 0; i < config_.layers; ++i) {
    const LayerFiles& f = files[size_t(i)];
    if (i + 1 < config_.layers) read_ahead(weights, files[size_t(i) + 1]);
    else weights.read_ahead(head.weight);
    const auto [gate, up] = place_gate_up(backend, weights, f);
    layers_.push_back({.attn_norm = backend.place(f.attn_norm),
                       .mlp_norm = backend.place(f.mlp_norm),
                       .qkv = place(backend, weights, {f.q, f.k, f.v}),
                       .o = place(backend, weights, {f.o}),
                       .sinks = backend.place(f.sinks),
                       .window = config_.sliding[size_t(i)] ? config_.sliding_window : 0,
                       .pool = size_t(kv_shape_.pool_of_layer[size_t(i)]),
                       .router = place(backend, weights, {f.router}),
                       .gate = gate,
                       .up = up,
                       .down = place(backend, weights, f.down)});
  }
  norm_ = backend.place(norm);
  lm_head_ = place(backend, weights, {head});
  rope_frequencies_ = backend.allocate(DType::f32, {int64_t(config_.rope.frequencies.size())});
  backend.upload(rope_frequencies_, config_.rope.frequencies.data(), rope_frequencies_.bytes());
}

double GptOss::step_weight_bytes(int64_t tokens) const {
  const double share = double(config_.experts_per_token) / double(config_.experts);
  const double hit = 1 - std::pow(1 - share, double(tokens));  // of the experts, by at least one token
  double bytes = double(lm_head_.weight.bytes());
  for (const Layer& w : layers_) {
    bytes += double(w.qkv.weight.bytes() + w.o.weight.bytes() + w.router.weight.bytes());
    bytes += hit * double(w.gate.weight.bytes() + w.up.weight.bytes() + w.down.weight.bytes());
  }
  return bytes;
}

double GptOss::token_macs(bool logits) const {
  const auto macs = [](const Matrix& m) { return double(m.rows) * double(m.columns); };
  double sum = logits ? macs(lm_head_.weight) : 0;
  for (const Layer& w : layers_)
    sum += macs(w.qkv.weight) + macs(w.o.weight) + macs(w.router.weight) +
           double(config_.experts_per_token) * (macs(w.gate.weight) + macs(w.up.weight) + macs(w.down.weight));
  return sum;
}

}  // namespace

std::unique_ptr<LanguageModel> load_gpt_oss(Weights& weights, Backend& backend) {
  return std::make_unique<GptOss>(weights, backend);
}

}  // namespace chorus
