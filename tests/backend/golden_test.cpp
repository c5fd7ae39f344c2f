// Every instruction set, in both precisions, against the real MLX.
#include "backend/backends.h"
#include "ops/golden_ops.h"

namespace chorus::test {
namespace {

class BackendRunner final : public OpRunner {
 public:
  explicit BackendRunner(const NamedBackend& on) : on_(on), backend_(*on.backend) {}
  std::string name() const override { return on_.name; }
  double int8_error(const Matrix& m) const override {
    return on_.fast && (m.coding == Coding::affine || m.coding == Coding::mxfp4) ? 1e-2 : 0;
  }
  double kv_error() const override { return on_.fast ? 0x1p-8 : 0; }

  Values embedding(Embedding op) override {
    op.table = backend_.place_table(op.table);
    return done(op, {op.token_ids.size(0), op.table.columns});
  }
  Values rms_norm(RmsNorm op) override { return done(op, op.x.shape()); }
  Values mat_mul(MatMul op) override {
    const Placed<Linear> placed(backend_, op.linear);
    op.linear = placed.linear;
    return done(op, {op.x.size(0), op.linear.outputs()});
  }
  Values rope(RopeAngles angles, RopeStore op) override {
    op.angles = angles.out = result(memory_, {angles.positions.size(0), 2, angles.frequencies.size(0)});
    run(backend_, angles);
    return done(op, op.qkv.shape());
  }
  std::pair<std::vector<int32_t>, Values> routing(Routing op) override {
    const Placed<Linear> router(backend_, op.router);
    op.router = router.linear;
    run(backend_, op);
    const auto ids = op.experts.values<int32_t>();
    return {{ids.begin(), ids.end()}, as_doubles(op.weights)};
  }
  Values expert_mlp(ExpertMlp op) override {
    const Placed<ExpertLinear> gate(backend_, op.gate), up(backend_, op.up), down(backend_, op.down);
    op.gate = gate.linear;
    op.up = up.linear;
    op.down = down.linear;
    return done(op, op.x.shape());
  }
  Values attention(RopeStore store, PagedAttention op, int64_t blocks) override {
    store.kv = op.kv = backend_.make_kv_layer(blocks, store.kv.kv_heads, store.kv.head_dim, store.kv.block_tokens);
    run(backend_, store);
    const Values out = done(op, op.q.shape());
    backend_.release(op.kv.keys);
    backend_.release(op.kv.values);
    return out;
  }

 private:
  template <typename Op>
  Values done(Op& op, Shape shape) {
    op.out = result(memory_, shape);
    run(backend_, op);
    return as_doubles(op.out);
  }

  const NamedBackend& on_;
  CpuBackend& backend_;
  Memory memory_;
};

void on_every_backend(void (*expect_golden)(OpRunner&)) {
  for (const NamedBackend& backend : backends()) {
    BackendRunner runner(backend);
    expect_golden(runner);
  }
}

TEST(GoldenOps, QuantisedProducts) {
  if (const auto missing = GoldenOps::missing("quant"); !missing.empty()) GTEST_SKIP() << missing;
  on_every_backend(expect_golden_quantised_products);
}
TEST(GoldenOps, ExpertProducts) {
  if (const auto missing = GoldenOps::missing("gather_qmm"); !missing.empty()) GTEST_SKIP() << missing;
  on_every_backend(expect_golden_expert_products);
}
TEST(GoldenOps, Rope) {
  if (const auto missing = GoldenOps::missing("rope"); !missing.empty()) GTEST_SKIP() << missing;
  on_every_backend(expect_golden_rope);
}
TEST(GoldenOps, Norms) {
  if (const auto missing = GoldenOps::missing("norms"); !missing.empty()) GTEST_SKIP() << missing;
  on_every_backend(expect_golden_norms);
}
TEST(GoldenOps, Attention) {
  if (const auto missing = GoldenOps::missing("sdpa"); !missing.empty()) GTEST_SKIP() << missing;
  on_every_backend(expect_golden_attention);
}
TEST(GoldenOps, Activation) {
  on_every_backend(expect_golden_activation);
}
TEST(GoldenOps, Routing) {
  on_every_backend(expect_golden_routing);
}
TEST(GoldenOps, Embedding) {
  on_every_backend(expect_golden_embedding);
}

}  // namespace
}  // namespace chorus::test
