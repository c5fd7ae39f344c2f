// The ops that are a loop over tokens, on every instruction set, against reference/.
#include "backend/backends.h"
#include "ops/reference/reference.h"

namespace chorus::test {
namespace {

double worst_relative(const Tensor& out, const reference::Values& expected) {
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(double(out.values<float>()[i]) - expected[i]);
    worst = std::max(worst, std::isfinite(error) ? (error == 0 ? 0 : error / std::abs(expected[i])) : INFINITY);
  }
  return worst;
}

TEST(RmsNorm, MatchesReference) {
  struct Case {
    const char* why;
    int64_t tokens, hidden;
    float size, eps;
  };
  for (const Case& c : {Case{"smallest", 1, 1, 1, 1e-5f},
                        {"less than a register", 3, 15, 1, 1e-5f},
                        {"a register and one", 2, 17, 1, 1e-5f},
                        {"no multiple of 16", 7, 2875, 1, 1e-5f},
                        {"gpt-oss row", 29, 2880, 1, 1e-5f},
                        {"long row", 2, 16384, 1, 1e-6f},
                        {"large values", 3, 2880, 1e4f, 1e-5f},
                        {"eps is most of it", 3, 2880, 1e-4f, 1e-5f},
                        {"zeros", 2, 64, 0, 1e-5f}}) {
    SCOPED_TRACE(c.why);
    Memory memory;
    Random random(1);
    const Tensor x = random.normals(memory, {c.tokens, c.hidden});
    for (float& v : x.values<float>()) v *= c.size;
    RmsNorm op{.x = x, .weight = random.normals(memory, {c.hidden}), .eps = c.eps, .out = {}};
    const reference::Values expected = reference::rms_norm(op);
    for (const auto& [name, fast, backend] : backends()) {
      SCOPED_TRACE(name);
      op.x = x;
      op.out = result(memory, x.shape());
      run(*backend, op);
      EXPECT_LE(worst_relative(op.out, expected), 1e-5);
      // In place.
      const Tensor copy = memory.make(DType::f32, x.shape());
      std::memcpy(copy.raw(), x.raw(), x.bytes());
      const Tensor out = op.out;
      op.x = op.out = copy;
      run(*backend, op);
      EXPECT_TRUE(same_bits(copy.values<float>(), out.values<float>()));
    }
  }
}

TEST(RopeAngles, MatchesReferenceAtEveryPosition) {
  Memory memory;
  const std::vector<int32_t> positions = {0, 1, 2, 127, 4095, 4096, 99999, 131071, 1 << 30};
  std::vector<float> frequencies;
  for (int i = 0; i < 32; ++i) frequencies.push_back(std::pow(150000.f, float(-2 * i) / 64));
  for (const float scale : {1.f, 1.3465736f}) {
    RopeAngles op{.positions = memory.copy(positions, {int64_t(positions.size())}),
                  .frequencies = memory.copy(frequencies, {32}),
                  .scale = scale,
                  .out = {}};
    op.out = result(memory, {op.positions.size(0), 2, 32});
    const reference::Values expected = reference::rope_angles(op);
    for (const auto& [name, fast, backend] : backends()) {
      run(*backend, op);
      for (size_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(op.out.values<float>()[i], expected[i], 1e-6 * double(scale)) << name << " " << i;
    }
  }
}

TEST(RopeStore, RotatesQueries) {
  struct Case {
    const char* why;
    int64_t tokens, heads, dim;
  };
  for (const Case& c : {Case{"smallest", 1, 1, 2}, {"an odd half", 3, 2, 6}, {"q of gpt-oss", 29, 64, 64}}) {
    SCOPED_TRACE(c.why);
    Memory memory;
    Random random(2);
    RopeStore op =
        rotate_op(random.normals(memory, {c.tokens, c.heads, c.dim}),
                  random.normals(memory, {c.tokens, 2, c.dim / 2}), memory.make(DType::i32, {c.tokens}));
    op.out = result(memory, op.qkv.shape());
    reference::KvValues none;
    const reference::Values expected = reference::rope_store(op, none);
    for (const auto& [name, fast, backend] : backends()) {
      run(*backend, op);
      EXPECT_LE(relative_l2(op.out.values<float>(), expected), 1e-7) << name;
    }
  }
}

TEST(QkvRopeStore, IsMatMulThenRopeStore) {
  struct Case {
    const char* why;
    int64_t tokens, heads, kv_heads, dim;
  };
  for (const Case& c : {Case{"one token", 1, 8, 2, 64},
                        {"small heads", 5, 3, 1, 16},
                        {"two blocks", 29, 4, 2, 64},
                        {"wide heads", 7, 2, 1, 128}}) {
    SCOPED_TRACE(c.why);
    Memory memory;
    Random random(6);
    const int64_t all_heads = c.heads + 2 * c.kv_heads;
    const Linear linear = random_linear(memory, random, affine8, all_heads * c.dim, 192, true);
    std::vector<int32_t> slots;
    for (int64_t t = 0; t < c.tokens; ++t) slots.push_back(int32_t(16 + c.tokens - 1 - t));
    QkvRopeStore op{.x = random.normals(memory, {c.tokens, 192}),
                    .qkv = linear,
                    .angles = random.normals(memory, {c.tokens, 2, c.dim / 2}),
                    .slots = memory.copy(slots, {c.tokens}),
                    .kv = {.keys = {}, .values = {}, .kv_heads = c.kv_heads, .head_dim = c.dim, .block_tokens = 16},
                    .out = memory.make(DType::f32, {c.tokens, c.heads, c.dim})};
    reference::KvValues kv;
    const reference::Values expected = reference::qkv_rope_store(op, kv);
    for (const auto& [name, fast, backend] : backends()) {
      SCOPED_TRACE(name);
      const Placed<Linear> placed(*backend, linear);
      op.qkv = placed.linear;
      op.kv = backend->make_kv_layer(3, c.kv_heads, c.dim, 16);
      op.out = result(memory, op.out.shape());
      run(*backend, op);
      EXPECT_LE(relative_l2(op.out.values<float>(), expected), fast ? 1e-2 : 1e-6);
      const Tensor qkv = result(memory, {c.tokens, all_heads * c.dim});
      run(*backend, MatMul{.x = op.x, .linear = op.qkv, .out = qkv});
      const RopeStore store{.qkv = qkv.view({c.tokens, all_heads, c.dim}),
                            .angles = op.angles,
                            .slots = op.slots,
                            .kv = backend->make_kv_layer(3, c.kv_heads, c.dim, 16),
                            .out = result(memory, op.out.shape())};
      run(*backend, store);
      EXPECT_TRUE(same_bits(op.out.values<float>(), store.out.values<float>()));
      EXPECT_EQ(std::memcmp(op.kv.keys.raw(), store.kv.keys.raw(), op.kv.keys.bytes()), 0);
      EXPECT_EQ(std::memcmp(op.kv.values.raw(), store.kv.values.raw(), op.kv.values.bytes()), 0);
      for (const KvLayer& layer : {op.kv, store.kv}) backend->release(layer.keys), backend->release(layer.values);
    }
  }
}

TEST(Embedding, IsTheDequantisedRow) {
  for (const Coded& coded : all_codings()) {
    for (const auto& [name, fast, backend] : backends()) {
      SCOPED_TRACE(name + ", " + coded.name());
      Memory memory;
      Random random(3);
      const Matrix table = random_matrix(memory, random, coded, 1, 50, 384);
      const Embedding op{.table = backend->place_table(table),
                         .token_ids = memory.copy(std::vector<int32_t>{49, 0, 7, 7, 31}, {5}),
                         .out = result(memory, {5, 384})};
      const reference::Values expected =
          reference::embedding({.table = table, .token_ids = op.token_ids, .out = {}});
      std::memset(table.data.raw(), 0xff, table.data.bytes());  // the file is no longer needed
      run(*backend, op);
      EXPECT_EQ(relative_l2(op.out.values<float>(), expected), 0);
      for (const Tensor* part : {&op.table.data, &op.table.scales, &op.table.quant_biases})
        backend->release(*part);
    }
  }
}

void expect_reference(const Routing& files) {
  const reference::Routed expected = reference::routing(files);
  for (const auto& [name, fast, backend] : backends()) {
    SCOPED_TRACE(name);
    const Placed<Linear> router(*backend, files.router);
    Routing op = files;
    op.router = router.linear;
    run(*backend, op);
    const auto ids = op.experts.values<int32_t>();
    EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.end()), expected.experts);
    EXPECT_LE(worst_relative(op.weights, expected.weights), 1e-5);
    EXPECT_LE(relative_l2(op.normed.values<float>(), expected.normed), 1e-6);
  }
}

TEST(Routing, PicksTheExpertsOfTheReference) {
  struct Case {
    const char* why;
    int64_t tokens, experts, chosen;
    int64_t levels;  ///< distinct logits; 0: all
  };
  for (const Case& c : {Case{"one expert", 1, 1, 1, 0},
                        {"all experts", 5, 4, 4, 0},
                        {"gpt-oss-20b", 64, 32, 4, 0},
                        {"gpt-oss-120b", 9, 128, 4, 0},
                        {"ties go to the lower expert", 64, 32, 4, 3},
                        {"all equal", 3, 32, 4, 1}}) {
    SCOPED_TRACE(c.why);
    Memory memory;
    Random random(4);
    const Tensor logits = random.normals(memory, {c.tokens, c.experts});
    if (c.levels > 0)
      for (float& v : logits.values<float>()) v = float(random.below(c.levels));
    expect_reference(routing_of_logits(memory, logits, c.chosen));
  }
}

TEST(Routing, RoundsNothingOnTheWay) {
  for (const Coded& coded : {mxfp4, affine8, affine4, dense_bf16}) {
    SCOPED_TRACE(coded.name());
    Memory memory;
    Random random(4);
    const Tensor norm = random.normals(memory, {2880});
    for (float& v : norm.values<float>()) v *= 0.03f;  // for logits around 1
    expect_reference({.x = random.normals(memory, {29, 2880}),
                      .norm = norm,
                      .eps = 1e-5f,
                      .router = random_linear(memory, random, coded, 32, 2880, true),
                      .normed = memory.make(DType::f32, {29, 2880}),
                      .experts = memory.make(DType::i32, {29, 4}),
                      .weights = memory.make(DType::f32, {29, 4})});
  }
}

TEST(Rows, AreCopies) {
  Memory memory;
  Random random(5);
  const Tensor x = random.normals(memory, {7, 33});
  for (const auto& [name, fast, backend] : backends()) {
    SCOPED_TRACE(name);
    const Rows rows{
        .x = x, .index = memory.copy(std::vector<int32_t>{6, 0, 0, 3}, {4}), .out = result(memory, {4, 33})};
    run(*backend, rows);
    EXPECT_EQ(relative_l2(rows.out.values<float>(), reference::rows(rows)), 0);
  }
}

}  // namespace
}  // namespace chorus::test
