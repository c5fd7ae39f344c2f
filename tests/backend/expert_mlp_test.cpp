// ExpertMlp on every instruction set and in both precisions, against reference/.
#include "backend/backends.h"
#include "ops/reference/reference.h"

namespace chorus::test {
namespace {

enum class Choice { random, all_on_one, every_other_unused, one_expert_twice };

struct Case {
  const char* why;
  Coded coded;
  int64_t experts, chosen, hidden, inner, tokens;
  bool bias = true;
  Choice choice = Choice::random;
};
const Case cases[] = {
    {"smallest", dense_f32, 1, 1, 1, 1, 1, false},
    {"smallest quantised", mxfp4, 1, 1, 32, 32, 1, false},
    {"no width a multiple of 16", dense_f32, 5, 2, 33, 41, 9},
    {"bf16, no width a multiple of 32", dense_bf16, 4, 2, 72, 50, 7},
    {"mxfp4 as gpt-oss, smaller", mxfp4, 8, 4, 96, 160, 16},
    {"affine, groups of 32", {Coding::affine, 4, 32}, 4, 2, 96, 32, 8},
    {"affine, 8 bits", affine8, 4, 2, 64, 192, 29},
    {"mxfp8", mxfp8, 4, 2, 64, 96, 4},
    {"nvfp4", nvfp4, 4, 2, 64, 96, 4},
    {"all tokens on one expert, more than a chunk of them", mxfp4, 8, 1, 64, 64, 64, true, Choice::all_on_one},
    {"experts that nobody chose", mxfp4, 16, 2, 64, 64, 8, true, Choice::every_other_unused},
    {"more experts than choices", affine4, 128, 8, 64, 64, 3},
    {"every expert chosen by every token", mxfp4, 4, 4, 64, 96, 7},
    {"an expert chosen twice by a token", mxfp4, 4, 2, 64, 64, 3, true, Choice::one_expert_twice},
    {"sizes of gpt-oss-20b, of its experts four", mxfp4, 4, 4, 2880, 2880, 2},
};

int32_t expert_of(const Case& c, int64_t token, int64_t j, Random& random, const std::vector<int32_t>& earlier) {
  switch (c.choice) {
    case Choice::all_on_one:
      return 3;
    case Choice::every_other_unused:
      return int32_t((token + j * 3) % (c.experts / 2) * 2);
    case Choice::one_expert_twice:
      return 2;
    case Choice::random:
      break;
  }
  for (;;) {  // distinct, as routing makes them
    const auto e = int32_t(random.below(c.experts));
    if (std::find(earlier.end() - j, earlier.end(), e) == earlier.end()) return e;
  }
}

ExpertMlp random_op(Memory& memory, Random& random, const Case& c) {
  std::vector<int32_t> experts;
  std::vector<float> weights;
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t j = 0; j < c.chosen; ++j) {
      experts.push_back(expert_of(c, t, j, random, experts));
      weights.push_back(random.uniform(0.1f, 1));
    }
  // Inputs of an inner size that make activations around 1, clamped now and then.
  const Tensor x = random.normals(memory, {c.tokens, c.hidden});
  for (float& v : x.values<float>()) v *= 3 / std::sqrt(float(c.hidden));
  return {.x = x,
          .experts = memory.copy(experts, {c.tokens, c.chosen}),
          .weights = memory.copy(weights, {c.tokens, c.chosen}),
          .gate = random_experts(memory, random, c.coded, c.experts, c.inner, c.hidden, c.bias),
          .up = random_experts(memory, random, c.coded, c.experts, c.inner, c.hidden, c.bias),
          .down = random_experts(memory, random, c.coded, c.experts, c.hidden, c.inner, c.bias),
          .activation = {.alpha = 1.702f, .limit = 2},
          .out = {}};
}

/// The next norm has the bits that RmsNorm gives of the sum with the residual, and changes nothing of it.
void expect_next_norm(CpuBackend& backend, ExpertMlp op) {
  Memory memory;
  Random random(10);
  const RmsNorm norm{.x = result(memory, op.out.shape()),
                     .weight = random.normals(memory, {op.x.size(1)}),
                     .eps = 1e-5f,
                     .out = result(memory, op.out.shape())};
  op.residual = random.normals(memory, op.out.shape());
  op.out = norm.x;
  run(backend, op);
  run(backend, norm);
  op.out = result(memory, op.out.shape());
  op.next_norm = norm.weight, op.eps = norm.eps, op.next_normed = result(memory, op.out.shape());
  run(backend, op);
  EXPECT_TRUE(same_bits(op.out.values<float>(), norm.x.values<float>()));
  EXPECT_TRUE(same_bits(op.next_normed.values<float>(), norm.out.values<float>()));
}

void expect_reference(Memory& memory, ExpertMlp op, const Coded& coded) {
  const reference::Values expected = reference::expert_mlp(op);
  const ExpertMlp files = op;
  for (const auto& [name, fast, backend] : backends()) {
    SCOPED_TRACE(name);
    const Placed<ExpertLinear> gate(*backend, files.gate), up(*backend, files.up), down(*backend, files.down);
    op.gate = gate.linear;
    op.up = up.linear;
    op.down = down.linear;
    op.out = result(memory, op.x.shape());
    run(*backend, op);
    const bool int8_inputs = fast && (coded.coding == Coding::affine || coded.coding == Coding::mxfp4);
    EXPECT_LE(relative_l2(op.out.values<float>(), expected), int8_inputs ? 2e-2 : 2e-6);
    expect_residual_added(*backend, op);
    expect_next_norm(*backend, op);
  }
}

TEST(ExpertMlp, EveryShape) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    Memory memory;
    Random random(1);
    expect_reference(memory, random_op(memory, random, c), c.coded);
  }
}

TEST(ExpertMlp, EveryNumberOfTokens) {
  for (const int64_t tokens : {1, 2, 3, 4, 7, 8, 9, 16, 29, 64}) {
    SCOPED_TRACE(tokens);
    Memory memory;
    Random random(2);
    expect_reference(memory, random_op(memory, random, {"", mxfp4, 8, 4, 96, 64, tokens}), mxfp4);
  }
}

// OpenAI's files have gate in the even rows of a tensor and up in the odd ones.
TEST(ExpertMlp, GateAndUpMayAlternate) {
  Memory memory;
  Random random(3);
  ExpertMlp op = random_op(memory, random, {"", mxfp4, 4, 2, 64, 48 * 2, 5, false});
  Matrix both = random_matrix(memory, random, mxfp4, 4, 96 * 2, 64);
  both.rows = 96;
  both.row_step = 2;
  op.gate.weight = both;
  both.row_first = 1;
  op.up.weight = both;
  expect_reference(memory, op, mxfp4);
}

}  // namespace
}  // namespace chorus::test
