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

TEST(Rope, MatchesReferenceInMergedRows) {
  struct Case {
    const char* why;
    int64_t tokens, heads, dim, stride;
  };
  for (const Case& c : {Case{"smallest", 1, 1, 2, 2},
                        {"an odd half", 3, 2, 6, 12},
                        {"columns of wider rows", 5, 4, 64, 300},
                        {"q of gpt-oss", 29, 64, 64, 5120}}) {
    SCOPED_TRACE(c.why);
    Memory memory;
    Random random(2);
    const Tensor rows = random.normals(memory, {c.tokens * c.stride});
    Rope op{.x = Tensor(DType::f32, {c.tokens, c.heads, c.dim}, rows.raw()),
            .angles = random.normals(memory, {c.tokens, 2, c.dim / 2}),
            .x_stride = c.stride,
            .out = result(memory, {c.tokens, c.heads, c.dim})};
    const reference::Values expected = reference::rope(op);
    for (const auto& [name, fast, backend] : backends()) {
      run(*backend, op);
      EXPECT_LE(relative_l2(op.out.values<float>(), expected), 1e-7) << name;
    }
  }
}

TEST(Embedding, IsTheDequantisedRow) {
  for (const Coded& coded : all_codings()) {
    Memory memory;
    Random random(3);
    const Matrix table = random_matrix(memory, random, coded, 1, 50, 384);
    for (const auto& [name, fast, backend] : backends()) {
      SCOPED_TRACE(name + ", " + coded.name());
      const Embedding op{.table = backend->place_table(table),
                         .token_ids = memory.copy(std::vector<int32_t>{49, 0, 7, 7, 31}, {5}),
                         .out = result(memory, {5, 384})};
      run(*backend, op);
      const reference::Values expected =
          reference::embedding({.table = table, .token_ids = op.token_ids, .out = {}});
      EXPECT_EQ(relative_l2(op.out.values<float>(), expected), 0);
    }
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
    Routing op{.logits = logits,
               .experts = memory.make(DType::i32, {c.tokens, c.chosen}),
               .weights = result(memory, {c.tokens, c.chosen})};
    const reference::Routed expected = reference::routing(op);
    for (const auto& [name, fast, backend] : backends()) {
      SCOPED_TRACE(name);
      run(*backend, op);
      const auto ids = op.experts.values<int32_t>();
      EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.end()), expected.experts);
      EXPECT_LE(worst_relative(op.weights, expected.weights), 1e-6);
    }
  }
}

TEST(AddAndRows, AreExact) {
  Memory memory;
  Random random(5);
  const Tensor a = random.normals(memory, {7, 33}), b = random.normals(memory, {7, 33});
  for (const auto& [name, fast, backend] : backends()) {
    SCOPED_TRACE(name);
    const Add add{.a = a, .b = b, .out = result(memory, {7, 33})};
    run(*backend, add);
    for (size_t i = 0; i < 7 * 33; ++i)
      ASSERT_EQ(add.out.values<float>()[i], a.values<float>()[i] + b.values<float>()[i]);
    const Rows rows{
        .x = a, .index = memory.copy(std::vector<int32_t>{6, 0, 0, 3}, {4}), .out = result(memory, {4, 33})};
    run(*backend, rows);
    EXPECT_EQ(relative_l2(rows.out.values<float>(), reference::rows(rows)), 0);
    const Tensor in_place = memory.make(DType::f32, {7, 33});
    std::memcpy(in_place.raw(), a.raw(), a.bytes());
    run(*backend, Add{.a = in_place, .b = b, .out = in_place});
    EXPECT_TRUE(same_bits(in_place.values<float>(), add.out.values<float>()));
  }
}

}  // namespace
}  // namespace chorus::test
