// reference/ against the real MLX.
#include "ops/golden_ops.h"
#include "ops/reference/reference.h"

namespace chorus::test {
namespace {

class ReferenceRunner final : public OpRunner {
 public:
  std::string name() const override { return "reference"; }
  Values embedding(Embedding op) override { return reference::embedding(op); }
  Values rms_norm(RmsNorm op) override { return reference::rms_norm(op); }
  Values mat_mul(MatMul op) override { return reference::mat_mul(op); }
  Values rope(RopeAngles angles, RopeStore op) override {
    const std::vector<float> values = as_floats(reference::rope_angles(angles));
    Memory memory;
    op.angles = memory.copy(values, {angles.positions.size(0), 2, angles.frequencies.size(0)});
    reference::KvValues none;
    return reference::rope_store(op, none);
  }
  std::pair<std::vector<int32_t>, Values> routing(Routing op) override {
    const reference::Routed routed = reference::routing(op);
    return {routed.experts, routed.weights};
  }
  Values expert_mlp(ExpertMlp op) override { return reference::expert_mlp(op); }
  Values attention(RopeStore store, PagedAttention op, int64_t) override {
    reference::KvValues kv;
    reference::rope_store(store, kv);
    return reference::paged_attention(op, kv);
  }
};

ReferenceRunner runner;

TEST(GoldenOps, ReferenceQuantisedProducts) {
  if (const auto missing = GoldenOps::missing("quant"); !missing.empty()) GTEST_SKIP() << missing;
  expect_golden_quantised_products(runner);
}
TEST(GoldenOps, ReferenceExpertProducts) {
  if (const auto missing = GoldenOps::missing("gather_qmm"); !missing.empty()) GTEST_SKIP() << missing;
  expect_golden_expert_products(runner);
}
TEST(GoldenOps, ReferenceRope) {
  if (const auto missing = GoldenOps::missing("rope"); !missing.empty()) GTEST_SKIP() << missing;
  expect_golden_rope(runner);
}
TEST(GoldenOps, ReferenceNorms) {
  if (const auto missing = GoldenOps::missing("norms"); !missing.empty()) GTEST_SKIP() << missing;
  expect_golden_norms(runner);
}
TEST(GoldenOps, ReferenceAttention) {
  if (const auto missing = GoldenOps::missing("sdpa"); !missing.empty()) GTEST_SKIP() << missing;
  expect_golden_attention(runner);
}
// The rest ships with the tests.
TEST(GoldenOps, ReferenceActivation) {
  expect_golden_activation(runner);
}
TEST(GoldenOps, ReferenceRouting) {
  expect_golden_routing(runner);
}
TEST(GoldenOps, ReferenceEmbedding) {
  expect_golden_embedding(runner);
}

}  // namespace
}  // namespace chorus::test
