// Every op of the CUDA backend against reference/, and the row rule bit for bit. Without a device they are
// skipped.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <tuple>

#include "backend/cuda/cuda.h"
#include "ops/random_ops.h"
#include "ops/reference/reference.h"

namespace chorus::test {
namespace {

double relative_error(const std::vector<float>& actual, const reference::Values& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference / (norm + 1e-300));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Cuda : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0)
      GTEST_SKIP() << "SKIPPED: no CUDA device here, or no CUDA backend in this build";
    backend_ = cuda::make_backend("cuda", 2);
  }

  /// A copy on the device.
  Tensor up(const Tensor& host) {
    if (host.empty()) return host;
    const Tensor t = backend_->allocate(host.dtype(), host.shape());
    backend_->upload(t, host.raw(), host.bytes());
    return t;
  }
  /// Memory for a result, full of NaNs.
  Tensor out(Shape shape, DType dtype = DType::f32) {
    const Tensor t = backend_->allocate(dtype, shape);
    const std::vector<std::byte> nans(t.bytes(), std::byte(0xff));
    backend_->upload(t, nans.data(), nans.size());
    return t;
  }
  template <typename T>
  std::vector<T> down(const Tensor& t) {
    std::vector<T> values(static_cast<size_t>(t.elements()));
    backend_->download(values.data(), t, t.bytes());
    return values;
  }
  /// Measures, then runs in exactly the workspace that this asked for.
  template <typename Op>
  void run(const Op& op) {
    check(op);
    backend_->use_workspace(Arena());
    backend_->run(op);
    const auto bytes = int64_t(std::max<size_t>(backend_->workspace().peak(), 1));
    const Tensor memory = out({bytes}, DType::u8);
    backend_->use_workspace(Arena(memory.raw(), size_t(bytes)));
    backend_->run(op);
    backend_->download(nullptr, memory, 0);
    backend_->release(memory);
  }
  /// With a residual an op gives that plus what it gives without, also where the residual is.
  template <typename Op>
  void expect_residual_added(Op op, const std::vector<float>& without) {
    const Tensor residual = random_.normals(memory_, op.out.shape());
    std::vector<float> sum = without;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += residual.values<float>()[i];
    op.residual = up(residual);
    run(op);
    EXPECT_EQ(down<float>(op.out), sum);
    op.out = op.residual;
    run(op);
    EXPECT_EQ(down<float>(op.out), sum);
  }
  /// The next norm has the bits that RmsNorm gives of the sum with the residual, and changes nothing of it.
  void expect_next_norm(ExpertMlp op) {
    const Shape shape = op.x.shape();
    const Tensor residual = up(random_.normals(memory_, shape));
    op.residual = residual, op.out = out(shape);
    run(op);
    const RmsNorm norm{.x = op.out,
                       .weight = up(random_.normals(memory_, {shape[1]})),
                       .eps = 1e-5f,
                       .out = out(shape)};
    run(norm);
    const auto sum = down<float>(op.out), normed = down<float>(norm.out);
    op.next_norm = norm.weight, op.eps = norm.eps;
    op.out = out(shape), op.next_normed = out(shape);
    run(op);
    EXPECT_TRUE(same_bits(down<float>(op.out), sum));
    EXPECT_TRUE(same_bits(down<float>(op.next_normed), normed));
    op.out = residual, op.next_normed = out(shape, DType::bf16);  // as a model has it
    run(op);
    EXPECT_TRUE(same_bits(down<float>(op.out), sum));
    expect_rounded(op.next_normed, normed);
  }
  /// A result in bf16 is the one in f32, rounded.
  void expect_rounded(const Tensor& rounded, const std::vector<float>& values) {
    const auto bits = down<bf16>(rounded);
    ASSERT_EQ(bits.size(), values.size());
    for (size_t i = 0; i < bits.size(); ++i) ASSERT_EQ(bits[i].bits, from_float<bf16>(values[i]).bits) << i;
  }
  /// The op on the device, as it ran there.
  Routing expect_routing(const Routing& host) {
    const reference::Routed expected = reference::routing(host);
    Routing op = host;
    op.x = up(host.x), op.norm = up(host.norm), op.router = place(host.router);
    op.normed = out(host.normed.shape()), op.weights = out(host.weights.shape());
    op.experts = out(host.experts.shape(), DType::i32);
    run(op);
    EXPECT_EQ(down<int32_t>(op.experts), expected.experts);
    EXPECT_LE(relative_error(down<float>(op.weights), expected.weights), 1e-5);
    EXPECT_LE(relative_error(down<float>(op.normed), expected.normed), 1e-6);
    return op;
  }
  Linear place(const Linear& linear) { return backend_->place(std::span(&linear, 1)); }

  Memory memory_;
  Random random_{3};
  std::unique_ptr<Backend> backend_;
};

/// The same bits, row by row, for the first rows of a step and the whole of it.
std::vector<float> first_rows(const std::vector<float>& all, int64_t rows, int64_t columns) {
  return {all.begin(), all.begin() + rows * columns};
}

TEST_F(Cuda, MatMulOfEveryCoding) {
  for (const Coded& coded : all_codings()) {
    SCOPED_TRACE(coded.name());
    const Linear linear = random_linear(memory_, random_, coded, 37, 384, true), placed = place(linear);
    const Tensor x = random_.normals(memory_, {9, 384}), y = out({9, 37});
    const auto expected = reference::mat_mul({.x = x, .linear = linear, .out = {}});
    const MatMul op{.x = up(x), .linear = placed, .out = y};
    run(op);
    EXPECT_LE(relative_error(down<float>(y), expected), 4e-3);
    expect_residual_added(op, down<float>(y));
  }
}

TEST_F(Cuda, MatMulOfATokenIsTheSameInAnyStep) {
  for (const Coded& coded : {mxfp4, affine8, affine4, dense_bf16, dense_f32}) {
    SCOPED_TRACE(coded.name());
    const Linear linear = random_linear(memory_, random_, coded, 64, 2880, true), placed = place(linear);
    const Tensor x = random_.normals(memory_, {257, 2880}), on_device = up(x), y = out({257, 64});
    run(MatMul{.x = on_device, .linear = placed, .out = y});
    const auto all = down<float>(y);
    EXPECT_LE(relative_error(all, reference::mat_mul({.x = x, .linear = linear, .out = {}})), 4e-3);
    for (const int64_t tokens : {1, 7, 8, 9, 16, 17, 29, 32, 33, 64, 65, 101}) {
      const Tensor part = out({tokens, 64});
      run(MatMul{.x = on_device.rows(0, tokens), .linear = placed, .out = part});
      EXPECT_TRUE(same_bits(down<float>(part), first_rows(all, tokens, 64))) << tokens << " tokens";
    }
  }
}

// So many blocks that they need no cluster: the third form of the product.
TEST_F(Cuda, LargeMatMulHasTheBitsOfSmallOnes) {
  for (const Coded& coded : {affine8, dense_bf16}) {
    SCOPED_TRACE(coded.name());
    const int64_t outputs = 8200, tokens = 1100;
    const Linear placed = place(random_linear(memory_, random_, coded, outputs, 448, true));
    const Tensor x = up(random_.normals(memory_, {tokens, 448})), y = out({tokens, outputs});
    run(MatMul{.x = x, .linear = placed, .out = y});
    const auto all = down<float>(y);
    for (const int64_t first : {int64_t(0), int64_t(63), tokens - 5}) {
      const Tensor part = out({5, outputs});
      run(MatMul{.x = x.rows(first, first + 5), .linear = placed, .out = part});
      const auto from = all.begin() + first * outputs;
      EXPECT_TRUE(same_bits(down<float>(part), {from, from + 5 * outputs})) << "from token " << first;
    }
  }
}

TEST_F(Cuda, TokenOps) {
  const Linear table = random_linear(memory_, random_, affine8, 100, 192, false);
  const Matrix placed = backend_->place_table(table.weight);
  const Tensor ids = memory_.copy(std::vector<int32_t>{0, 99, 17, 17}, {4}), e = out({4, 192});
  run(Embedding{.table = placed, .token_ids = up(ids), .out = e});
  EXPECT_LE(
      relative_error(down<float>(e), reference::embedding({.table = table.weight, .token_ids = ids, .out = {}})),
      1e-6);

  const Tensor x = random_.normals(memory_, {5, 2880}), w = random_.normals(memory_, {2880}), y = out({5, 2880});
  const Tensor rounded = out({5, 2880}, DType::bf16);
  run(RmsNorm{.x = up(x), .weight = up(w), .eps = 1e-5f, .out = y});
  run(RmsNorm{.x = up(x), .weight = up(w), .eps = 1e-5f, .out = rounded});
  expect_rounded(rounded, down<float>(y));
  EXPECT_LE(relative_error(down<float>(y), reference::rms_norm({.x = x, .weight = w, .eps = 1e-5f, .out = {}})),
            1e-5);
  const Tensor index = memory_.copy(std::vector<int32_t>{4, 0}, {2}), r = out({2, 2880});
  run(Rows{.x = up(x), .index = up(index), .out = r});
  EXPECT_EQ(relative_error(down<float>(r), reference::rows({.x = x, .index = index, .out = {}})), 0);

  const Tensor positions = memory_.copy(std::vector<int32_t>{0, 5, 131071}, {3});
  const Tensor frequencies = memory_.copy(std::vector<float>{1, 0.3f, 1e-3f, 7e-6f}, {4});
  const RopeAngles host{.positions = positions, .frequencies = frequencies, .scale = 1.25f, .out = {}};
  const auto expected = reference::rope_angles(host);
  const Tensor a = out({3, 2, 4});
  run(RopeAngles{.positions = up(positions), .frequencies = up(frequencies), .scale = 1.25f, .out = a});
  const auto angles = down<float>(a);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(angles[i], expected[i], 1.25e-6);
}

// Queries as they come, keys and values by what attention makes of them.
TEST_F(Cuda, RopeStore) {
  struct Case {
    const char* why;
    int64_t tokens, heads, kv_heads, dim;
  };
  for (const Case& c : {Case{"one token", 1, 64, 8, 64}, {"small heads", 5, 4, 2, 16}, {"two blocks", 21, 64, 8, 64},
                        {"wide heads", 19, 6, 3, 128}}) {
    SCOPED_TRACE(c.why);
    std::vector<int32_t> positions, slots;
    for (int32_t t = 0; t < c.tokens; ++t) {
      positions.push_back(t);
      slots.push_back((t / 16 == 0 ? 32 : 0) + t % 16);  // blocks 2 and 0
    }
    const RopeStore host{
        .qkv = random_.normals(memory_, {c.tokens, c.heads + 2 * c.kv_heads, c.dim}),
        .angles = random_.normals(memory_, {c.tokens, 2, c.dim / 2}),
        .slots = memory_.copy(slots, {c.tokens}),
        .kv = {.keys = {}, .values = {}, .kv_heads = c.kv_heads, .head_dim = c.dim, .block_tokens = 16},
        .out = memory_.make(DType::f32, {c.tokens, c.heads, c.dim})};
    reference::KvValues kv;
    const reference::Values q = reference::rope_store(host, kv);
    RopeStore op = host;
    op.qkv = up(host.qkv), op.angles = up(host.angles), op.slots = up(host.slots);
    op.kv = backend_->make_kv_layer(3, c.kv_heads, c.dim, 16);
    op.out = out(host.out.shape());
    run(op);
    const auto rotated = down<float>(op.out);
    EXPECT_LE(relative_error(rotated, q), 1e-7);
    PagedAttention attention{.q = memory_.copy(std::vector<float>(q.begin(), q.end()), host.out.shape()),
                             .kv = host.kv,
                             .positions = memory_.copy(positions, {c.tokens}),
                             .row_of_token = memory_.make(DType::i32, {c.tokens}),
                             .block_tables = memory_.copy(std::vector<int32_t>{2, 0}, {1, 2}),
                             .first_block = memory_.make(DType::i32, {1}),
                             .scale = 0.2f,
                             .window = 0,
                             .sinks = {},
                             .out = {}};
    const auto expected = reference::paged_attention(attention, kv);
    attention.q = op.out, attention.kv = op.kv, attention.positions = up(attention.positions);
    attention.row_of_token = up(attention.row_of_token), attention.block_tables = up(attention.block_tables);
    attention.first_block = up(attention.first_block), attention.out = out(host.out.shape());
    run(attention);
    EXPECT_LE(relative_error(down<float>(attention.out), expected), 3e-2);  // q and the cache in bf16
    op.out = out(host.out.shape(), DType::bf16);
    run(op);
    expect_rounded(op.out, rotated);
  }
}

struct QkvCase {
  const char* why;
  Coded coded;
  int64_t tokens, hidden, heads, kv_heads, dim;
  bool bias = true;
};
const QkvCase qkv_cases[] = {
    {"one token of gpt-oss", affine8, 1, 2880, 64, 8, 64},
    {"few tokens", affine8, 5, 192, 64, 8, 64},
    {"two tiles of eight", affine8, 13, 192, 5, 1, 64},
    {"29 tokens", affine8, 29, 448, 64, 8, 64},
    {"29 tokens, 4 bits", affine4, 29, 192, 4, 2, 64},
    {"groups of 32", {Coding::affine, 4, 32}, 9, 96, 4, 2, 64},
    {"f32 scales", {Coding::affine, 8, 64, DType::f32}, 9, 192, 4, 2, 64},
    {"mxfp4", mxfp4, 29, 96, 4, 2, 64},
    {"not quantised, no bias", dense_bf16, 29, 100, 4, 2, 64, false},
    {"f32", dense_f32, 29, 70, 4, 2, 64},
    {"two warpgroups, of which one has no head", affine8, 50, 192, 3, 2, 64},
    {"101 tokens", affine8, 101, 448, 64, 8, 64},
    {"more than a tile, and warpgroups without a head", affine8, 140, 192, 3, 2, 64},
    {"no clusters: eight tokens", affine8, 5, 448, 400, 8, 64},
    {"no clusters: 32 tokens", affine8, 29, 64, 400, 8, 64},
    {"no clusters: 64 tokens", affine8, 40, 64, 290, 5, 64},
    {"no clusters: 128 tokens", affine8, 300, 448, 64, 8, 64},
    {"no clusters: not quantised", dense_bf16, 300, 192, 64, 8, 64},
    {"small heads, two kernels", affine8, 29, 192, 6, 2, 32},
    {"wide heads, two kernels", affine8, 29, 192, 6, 2, 128},
};

TEST_F(Cuda, QkvRopeStoreHasTheBitsOfItsTwoOps) {
  for (const QkvCase& c : qkv_cases) {
    SCOPED_TRACE(c.why);
    const int64_t all_heads = c.heads + 2 * c.kv_heads, blocks = (c.tokens + 16 + 15) / 16;
    std::vector<int32_t> slots;
    for (int64_t t = 0; t < c.tokens; ++t) slots.push_back(int32_t(16 + c.tokens - 1 - t));
    const QkvRopeStore host{
        .x = random_.normals(memory_, {c.tokens, c.hidden}),
        .qkv = random_linear(memory_, random_, c.coded, all_heads * c.dim, c.hidden, c.bias),
        .angles = random_.normals(memory_, {c.tokens, 2, c.dim / 2}),
        .slots = memory_.copy(slots, {c.tokens}),
        .kv = {.keys = {}, .values = {}, .kv_heads = c.kv_heads, .head_dim = c.dim, .block_tokens = 16},
        .out = memory_.make(DType::f32, {c.tokens, c.heads, c.dim})};
    const auto cache = [&] {
      const KvLayer kv = backend_->make_kv_layer(blocks, c.kv_heads, c.dim, 16);
      const std::vector<std::byte> zeros(kv.keys.bytes());
      for (const Tensor& t : {kv.keys, kv.values}) backend_->upload(t, zeros.data(), zeros.size());
      return kv;
    };
    QkvRopeStore op = host;
    op.x = up(host.x), op.qkv = place(host.qkv), op.angles = up(host.angles), op.slots = up(host.slots);
    op.kv = cache(), op.out = out(host.out.shape());
    run(op);
    const auto q = down<float>(op.out);
    reference::KvValues kv;
    EXPECT_LE(relative_error(q, reference::qkv_rope_store(host, kv)), 4e-3);

    const Tensor qkv = out({c.tokens, all_heads * c.dim});
    run(MatMul{.x = op.x, .linear = op.qkv, .out = qkv});
    const RopeStore store{.qkv = qkv.view({c.tokens, all_heads, c.dim}),
                          .angles = op.angles,
                          .slots = op.slots,
                          .kv = cache(),
                          .out = out(host.out.shape())};
    run(store);
    EXPECT_TRUE(same_bits(q, down<float>(store.out)));
    EXPECT_EQ(down<uint16_t>(op.kv.keys), down<uint16_t>(store.kv.keys));
    EXPECT_EQ(down<uint16_t>(op.kv.values), down<uint16_t>(store.kv.values));
    op.out = out(host.out.shape(), DType::bf16);
    run(op);
    expect_rounded(op.out, q);
    for (const Tensor& t : {op.kv.keys, op.kv.values, store.kv.keys, store.kv.values}) backend_->release(t);
  }
}

TEST_F(Cuda, RoutingByLogits) {
  const Tensor logits = random_.normals(memory_, {6, 33});
  for (int e = 0; e < 33; ++e) logits.data<float>()[e] = e % 3 == 0 ? 1.f : 0.f;  // ties
  expect_routing(routing_of_logits(memory_, logits, 4));
}

TEST_F(Cuda, RoutingOfATokenIsTheSameInAnyStep) {
  struct Case {
    const char* why;
    Coded coded;
    int64_t tokens, hidden, experts, chosen;
  };
  for (const Case& c : {Case{"smallest", dense_f32, 1, 1, 1, 1},
                        {"gpt-oss-20b", affine8, 600, 2880, 32, 4},
                        {"gpt-oss-120b", affine8, 300, 2880, 128, 4},
                        {"as published", dense_bf16, 29, 2880, 32, 4},
                        {"4 bits", affine4, 133, 192, 8, 8},
                        {"mxfp4", mxfp4, 9, 96, 20, 2},
                        {"no multiple of 4", dense_f32, 270, 33, 5, 2},
                        {"rows longer than the registers", dense_bf16, 140, 4160, 17, 3}}) {
    SCOPED_TRACE(c.why);
    const Tensor norm = random_.normals(memory_, {c.hidden});
    for (float& v : norm.values<float>()) v *= 0.03f;  // for logits around 1
    const Routing op = expect_routing({.x = random_.normals(memory_, {c.tokens, c.hidden}),
                                       .norm = norm,
                                       .eps = 1e-5f,
                                       .router = random_linear(memory_, random_, c.coded, c.experts, c.hidden, true),
                                       .normed = memory_.make(DType::f32, {c.tokens, c.hidden}),
                                       .experts = memory_.make(DType::i32, {c.tokens, c.chosen}),
                                       .weights = memory_.make(DType::f32, {c.tokens, c.chosen})});
    const auto normed = down<float>(op.normed), weights = down<float>(op.weights);
    const auto experts = down<int32_t>(op.experts);
    Routing alone = op;
    alone.normed = out({1, c.hidden}, DType::bf16);
    alone.experts = out({1, c.chosen}, DType::i32), alone.weights = out({1, c.chosen});
    for (const int64_t t : {int64_t(0), c.tokens / 2, c.tokens - 1}) {
      alone.x = op.x.rows(t, t + 1);
      run(alone);
      const auto begin = normed.begin() + t * c.hidden;
      expect_rounded(alone.normed, {begin, begin + c.hidden});
      EXPECT_TRUE(same_bits(down<float>(alone.weights),
                            {weights.begin() + t * c.chosen, weights.begin() + (t + 1) * c.chosen}));
      EXPECT_EQ(down<int32_t>(alone.experts),
                std::vector<int32_t>(experts.begin() + t * c.chosen, experts.begin() + (t + 1) * c.chosen));
    }
  }
}

struct ExpertsCase {
  const char* why;
  Coded coded;
  int64_t tokens, hidden, inner, experts, choices;
  std::optional<Coded> up = {};  // if not coded like gate and down
};
const ExpertsCase experts_cases[] = {
    {"one token", mxfp4, 1, 64, 32, 4, 2},
    {"columns that fill half a chunk", mxfp4, 9, 96, 160, 5, 3},
    {"many to an expert", mxfp4, 200, 64, 64, 4, 2},
    {"affine", affine4, 33, 128, 64, 8, 4},
    {"affine of 8 bits", affine8, 33, 128, 64, 8, 4},
    {"not quantised", dense_bf16, 20, 64, 48, 8, 4},
    {"gpt-oss's widths", mxfp4, 29, 2880, 2880, 4, 2},
    {"few to an expert", mxfp4, 24, 1472, 1216, 8, 2},
    {"more to an expert", mxfp4, 40, 1472, 1216, 3, 2},
    {"few to an expert, of 4 bits", affine4, 16, 1472, 1216, 3, 2},
    {"more to an expert, of 8 bits", affine8, 60, 448, 320, 5, 2},
    {"more to an expert, fewer chunks than classes", mxfp4, 60, 128, 96, 4, 2},
    {"tiles of many to an expert", mxfp4, 150, 640, 576, 2, 1},
    {"affine, many to an expert", affine8, 150, 320, 192, 3, 2},
    {"gate and up of different codings", affine4, 33, 128, 64, 8, 4, affine8},
    {"rows of no multiple of 4", dense_bf16, 7, 70, 48, 4, 2},
    {"rows longer than the registers", mxfp4, 5, 4160, 64, 4, 3},
};

TEST_F(Cuda, ExpertMlpAndItsRowRule) {
  for (const ExpertsCase& c : experts_cases) {
    SCOPED_TRACE(c.why);
    const auto make = [&](const Coded& coded, int64_t rows, int64_t columns) {
      return random_experts(memory_, random_, coded, c.experts, rows, columns, true);
    };
    ExpertMlp op{.x = random_.normals(memory_, {c.tokens, c.hidden}),
                 .experts = {},
                 .weights = {},
                 .gate = make(c.coded, c.inner, c.hidden),
                 .up = make(c.up.value_or(c.coded), c.inner, c.hidden),
                 .down = make(c.coded, c.hidden, c.inner),
                 .activation = {},
                 .out = memory_.make(DType::f32, {c.tokens, c.hidden})};
    std::vector<int32_t> experts;
    std::vector<float> weights;
    for (int64_t t = 0; t < c.tokens; ++t) {
      const int64_t first = random_.below(c.experts);
      for (int64_t j = 0; j < c.choices; ++j) {
        experts.push_back(int32_t((first + j) % c.experts));
        weights.push_back(random_.uniform(0, 1));
      }
    }
    op.experts = memory_.copy(experts, {c.tokens, c.choices});
    op.weights = memory_.copy(weights, {c.tokens, c.choices});
    ExpertMlp on_device = op;
    on_device.x = up(op.x), on_device.experts = up(op.experts), on_device.weights = up(op.weights);
    std::tie(on_device.gate, on_device.up) = backend_->place_gate_up(op.gate, op.up);
    on_device.down = backend_->place(op.down), on_device.out = out(op.out.shape());
    run(on_device);
    const auto all = down<float>(on_device.out);
    EXPECT_LE(relative_error(all, reference::expert_mlp(op)), 1e-2);
    expect_residual_added(on_device, all);
    expect_next_norm(on_device);
    for (const int64_t n : {int64_t(1), c.tokens / 4, c.tokens / 2}) {
      if (n == 0) continue;
      SCOPED_TRACE(n);
      ExpertMlp first = on_device;
      first.x = on_device.x.rows(0, n), first.experts = on_device.experts.rows(0, n);
      first.weights = on_device.weights.rows(0, n), first.out = out({n, c.hidden});
      run(first);
      EXPECT_TRUE(same_bits(down<float>(first.out), first_rows(all, n, c.hidden)));
    }
  }
}

}  // namespace
}  // namespace chorus::test
