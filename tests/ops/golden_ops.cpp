#include "ops/golden_ops.h"

namespace chorus::test {
namespace {

double allowed(double rounded, double otherwise) {
  return std::max(rounded, otherwise);
}

std::vector<std::pair<std::string, Coded>> quantised_cases() {
  std::vector<std::pair<std::string, Coded>> cases = {
      {"mxfp4_b4_g32", mxfp4}, {"mxfp8_b8_g32", mxfp8}, {"nvfp4_b4_g16", nvfp4}};
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {32, 64, 128}) {
      std::string name = "affine_b";
      name.append(std::to_string(bits)).append("_g").append(std::to_string(group));
      cases.push_back({name, {Coding::affine, bits, group}});
    }
  return cases;
}

// MLX counts heads before positions, our ops after: [B, H, L, D] -> [B, L, H, D].
std::vector<float> tokens_first(const Tensor& t) {
  const auto in = t.values<float>();
  std::vector<float> out(in.size());
  const int64_t batches = t.size(0), heads = t.size(1), length = t.size(2), dim = t.size(3);
  for (int64_t b = 0; b < batches; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t l = 0; l < length; ++l)
        std::copy_n(&in[size_t(((b * heads + h) * length + l) * dim)], dim,
                    &out[size_t(((b * length + l) * heads + h) * dim)]);
  return out;
}

}  // namespace

void expect_golden_quantised_products(OpRunner& runner) {
  const GoldenOps golden("quant");
  Memory memory;
  const Tensor x = golden.tensor(memory, "x");
  for (const auto& [prefix, coded] : quantised_cases())
    for (const std::string flavour : {".f32", ".bf16"}) {
      SCOPED_TRACE(runner.name() + " " + prefix + flavour);
      const Linear linear{.weight = golden.matrix(prefix + flavour, coded, 1, 32, 384), .bias = {}};
      const auto ours = runner.mat_mul({.x = x, .linear = linear, .out = {}});
      EXPECT_LE(relative_l2(as_floats(ours), as_doubles(golden.tensor(memory, prefix + flavour + ".qmm"))),
                allowed(runner.int8_error(linear.weight), 1e-5));
    }
}

void expect_golden_expert_products(OpRunner& runner) {
  const GoldenOps golden("gather_qmm");
  Memory memory;
  const Tensor x = golden.tensor(memory, "x").view({20, 192}), indices = golden.tensor(memory, "indices");
  for (const auto& [prefix, coded] : quantised_cases()) {
    if (golden.stored(prefix + ".wq").empty()) continue;
    SCOPED_TRACE(runner.name() + " " + prefix);
    const Tensor expected = golden.tensor(memory, prefix + ".out").view({60, 64});
    const Matrix all = golden.matrix(prefix, coded, 6, 64, 192);
    std::vector<float> ours(60 * 64);
    for (int64_t e = 0; e < 6; ++e) {
      Matrix one = all;
      one.matrices = 1;
      one.data = all.data.rows(e, e + 1);
      one.scales = all.scales.rows(e, e + 1);
      if (!all.quant_biases.empty()) one.quant_biases = all.quant_biases.rows(e, e + 1);
      const auto y = runner.mat_mul({.x = x, .linear = {.weight = one, .bias = {}}, .out = {}});
      for (int64_t i = 0; i < 60; ++i)
        if (indices.data<int32_t>()[i] == e)
          for (int64_t o = 0; o < 64; ++o) ours[size_t(i * 64 + o)] = float(y[size_t(i / 3 * 64 + o)]);
    }
    EXPECT_LE(relative_l2(ours, as_doubles(expected)), allowed(runner.int8_error(all), 1e-5));
  }
}

void expect_golden_rope(OpRunner& runner) {
  struct Case {
    std::string name;
    double base, scale;  ///< where the file has no periods of its own
    float attention_factor;
  };
  const GoldenOps golden("rope");
  Memory memory;
  const Tensor in = golden.tensor(memory, "x");  // [2, 3, 9, 64]
  const Tensor x = memory.copy(tokens_first(in), {18, 3, 64});
  for (const Case& c :
       {Case{"plain_neox_b10000_d64_s1.0", 1e4, 1, 1}, Case{"plain_neox_b10000_d64_s0.25", 1e4, 0.25, 1},
        Case{"plain_neox_b1000000_d64_s1.0", 1e6, 1, 1}, Case{"yarn_gpt_oss", 0, 1, 1.3465735902799727f},
        Case{"yarn_qwen", 0, 1, 1.138629436111989f}, Case{"llama3", 0, 1, 1}})
    for (const int32_t offset : {0, 5, 4090, 100000}) {
      const std::string name = c.name + ".off" + std::to_string(offset);
      SCOPED_TRACE(runner.name() + " " + name);
      std::vector<float> frequencies;
      const Tensor periods = golden.stored(c.name + ".freqs");
      for (int i = 0; i < 32; ++i)
        frequencies.push_back(periods.empty()
                                  ? float(c.scale * std::pow(c.base, -2.0 * i / 64))
                                  : float(1 / double(golden.tensor(memory, c.name + ".freqs").data<float>()[i])));
      std::vector<int32_t> positions;
      for (int32_t t = 0; t < 18; ++t) positions.push_back(offset + t % 9);
      const auto ours = runner.rope({.positions = memory.copy(positions, {18}),
                                     .frequencies = memory.copy(frequencies, {32}),
                                     .scale = c.attention_factor,
                                     .out = {}},
                                    rotate_op(x, {}, memory.make(DType::i32, {18})));
      const std::vector<float> expected = tokens_first(golden.tensor(memory, name));
      // MLX has its angles in f32: half a unit in the last place of the position, in radians.
      const double error = 1e-5 + 2e-7 * offset;
      double worst = 0;
      for (size_t i = 0; i < expected.size(); ++i)
        worst = std::max(worst, std::abs(ours[i] - double(expected[i])));
      EXPECT_LE(worst, 4 * error);
    }
}

void expect_golden_norms(OpRunner& runner) {
  const GoldenOps golden("norms");
  Memory memory;
  for (const std::string n : {"64", "2880"})
    for (const auto& [name, eps] : {std::pair{".eps1e-05", 1e-5f}, {".eps1e-06", 1e-6f}}) {
      SCOPED_TRACE(runner.name() + " " + n + name);
      const auto ours = runner.rms_norm({.x = golden.tensor(memory, "x." + n),
                                         .weight = golden.tensor(memory, "w." + n),
                                         .eps = eps,
                                         .out = {}});
      EXPECT_LE(relative_l2(as_floats(ours), as_doubles(golden.tensor(memory, "rms_norm." + n + name))), 1e-6);
    }
}

// Inputs that each pick a column of gate and up, and a down that changes nothing, leave the activation bare.
void expect_golden_activation(OpRunner& runner) {
  const GoldenOps golden("activations");
  Memory memory;
  constexpr int64_t tokens = 6, n = 96;
  const Tensor gate = golden.tensor(memory, "gate"), up = golden.tensor(memory, "up");
  const auto columns = [&](const Tensor* values) {  // W[o, t] = values[t, o]; null: the identity
    Matrix m{
        .rows = n, .columns = n, .data = memory.make(DType::f32, {1, n, n}), .scales = {}, .quant_biases = {}};
    for (int64_t o = 0; o < n; ++o)
      for (int64_t t = 0; t < (values != nullptr ? tokens : n); ++t)
        m.data.data<float>()[o * n + t] = values != nullptr ? values->data<float>()[t * n + o] : float(o == t);
    return ExpertLinear{.weight = m, .bias = {}};
  };
  const Tensor x = memory.make(DType::f32, {tokens, n});
  for (int64_t t = 0; t < tokens; ++t) x.data<float>()[t * n + t] = 1;
  const auto ours = runner.expert_mlp({.x = x,
                                       .experts = memory.make(DType::i32, {tokens, 1}),
                                       .weights = memory.copy(std::vector<float>(tokens, 1.f), {tokens, 1}),
                                       .gate = columns(&gate),
                                       .up = columns(&up),
                                       .down = columns(nullptr),
                                       .activation = {},
                                       .out = {}});
  EXPECT_LE(relative_l2(as_floats(ours), as_doubles(golden.tensor(memory, "gpt_oss_swiglu"))), 1e-6)
      << runner.name();
}

void expect_golden_routing(OpRunner& runner) {
  const GoldenOps golden("router");
  Memory memory;
  for (const auto& [experts, chosen] : {std::pair{8, 2}, {32, 4}, {128, 8}}) {
    const std::string name = "gpt_oss." + std::to_string(experts) + ".k" + std::to_string(chosen);
    SCOPED_TRACE(runner.name() + " " + name);
    const auto [ids, weights] =
        runner.routing(routing_of_logits(memory, golden.tensor(memory, "logits." + std::to_string(experts)), chosen));
    const auto theirs = golden.tensor(memory, name + ".idx").values<int32_t>();
    EXPECT_EQ(ids, std::vector<int32_t>(theirs.begin(), theirs.end()));
    EXPECT_LE(relative_l2(as_floats(weights), as_doubles(golden.tensor(memory, name + ".weight"))), 1e-6);
  }
}

void expect_golden_attention(OpRunner& runner) {
  struct Case {
    std::string name;
    float scale;
    int64_t window;
  };
  const GoldenOps golden("sdpa");
  for (const Case& c : {Case{"causal", 0.17677669529663687f, 0}, Case{"causal_offset", 0.17677669529663687f, 0},
                        Case{"decode", 0.125f, 0}, Case{"decode_sinks", 0.125f, 0},
                        Case{"causal_sinks", 0.125f, 0}, Case{"window_sinks", 0.125f, 6},
                        Case{"window_offset_sinks", 0.125f, 8}, Case{"d128", 0.08838834764831843f, 0}}) {
    SCOPED_TRACE(runner.name() + " " + c.name);
    Memory memory;
    const Tensor q = golden.tensor(memory, c.name + ".q"), k = golden.tensor(memory, c.name + ".k"),
                 v = golden.tensor(memory, c.name + ".v");
    const int64_t rows = q.size(0), heads = q.size(1), fresh = q.size(2), dim = q.size(3), kv_heads = k.size(1),
                  length = k.size(2);
    constexpr int64_t block = 16;
    const int64_t blocks = (length + block - 1) / block;
    std::vector<int32_t> slots, positions, row_of_token, tables;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t b = 0; b < blocks; ++b) tables.push_back(int32_t((blocks - 1 - b) * rows + r));
      for (int64_t p = 0; p < length; ++p)
        slots.push_back(int32_t(tables[size_t(r * blocks + p / block)] * block + p % block));
      for (int64_t t = 0; t < fresh; ++t) {
        positions.push_back(int32_t(length - fresh + t));
        row_of_token.push_back(int32_t(r));
      }
    }
    const KvLayer layer{.keys = {}, .values = {}, .kv_heads = kv_heads, .head_dim = dim, .block_tokens = block};
    const Shape q_shape{rows * fresh, heads, dim};
    const Tensor sinks = golden.stored(c.name + ".sinks");
    const auto ours =
        runner.attention(store_op(memory, layer, tokens_first(k), tokens_first(v), slots),
                         {.q = memory.copy(tokens_first(q), q_shape),
                          .kv = layer,
                          .positions = memory.copy(positions, {rows * fresh}),
                          .row_of_token = memory.copy(row_of_token, {rows * fresh}),
                          .block_tables = memory.copy(tables, {rows, blocks}),
                          .first_block = memory.make(DType::i32, {rows}),
                          .scale = c.scale,
                          .window = c.window,
                          .sinks = sinks.empty() ? Tensor() : golden.tensor(memory, c.name + ".sinks"),
                          .out = {}},
                         rows * blocks);
    const std::vector<float> expected = tokens_first(golden.tensor(memory, c.name + ".out"));
    EXPECT_LE(relative_l2(as_floats(ours), std::vector<double>(expected.begin(), expected.end())),
              allowed(runner.kv_error(), 1e-6));
  }
}

// MLX rounds to bf16 what we leave in f32: the product, then the sum.
void expect_golden_embedding(OpRunner& runner) {
  const GoldenOps golden("embedding");
  Memory memory;
  for (const auto& [prefix, coded] : {std::pair{"b4", affine4}, {"b8", affine8}}) {
    const auto ours = runner.embedding(
        {.table = golden.matrix(prefix, coded, 1, 40, 128), .token_ids = golden.tensor(memory, "ids"), .out = {}});
    EXPECT_LE(relative_l2(as_floats(ours), as_doubles(golden.tensor(memory, prefix + std::string(".lookup")))),
              6e-3)
        << runner.name() << " " << prefix;
  }
}

}  // namespace chorus::test
