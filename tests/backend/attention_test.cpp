// RopeStore and PagedAttention on every instruction set and in both precisions, against reference/.
#include "backend/attention_cases.h"

namespace chorus::test {
namespace {

reference::Values expected_of(const AttentionCase& c, const AttentionStep& step) {
  Memory memory;
  const KvLayer layer{
      .keys = {}, .values = {}, .kv_heads = c.kv_heads, .head_dim = c.dim, .block_tokens = block_tokens};
  reference::KvValues kv;
  step.store_past(memory, layer, [&](const RopeStore& op) { reference::rope_store(op, kv); });
  reference::rope_store(step.store_fresh(memory, layer), kv);
  return reference::paged_attention(step.attention(memory, layer), kv);
}

TEST(PagedAttention, EveryCase) {
  for (const AttentionCase& c : attention_cases) {
    SCOPED_TRACE(c.why);
    const AttentionStep step(c, all_parts(c), 7);
    const reference::Values expected = expected_of(c, step);
    for (const auto& [name, fast, backend] : backends()) {
      SCOPED_TRACE(name);
      Memory memory;
      EXPECT_LE(relative_l2(attend(*backend, memory, c, step).values<float>(), expected), 2e-6);
    }
  }
}

// What a step does: q and k of merged rows are rotated, k and v stored, q attends.
TEST(PagedAttention, ToKeysThatWereRotatedOnTheirWay) {
  constexpr int64_t tokens = 21, heads = 6, kv_heads = 2, dim = 32;
  Memory memory;
  Random random(6);
  std::vector<int32_t> positions, slots;
  for (int32_t t = 0; t < tokens; ++t) {
    positions.push_back(t);
    slots.push_back((t / 16 == 0 ? 32 : 0) + t % 16);  // blocks 2 and 0
  }
  RopeStore store{.qkv = random.normals(memory, {tokens, heads + 2 * kv_heads, dim}),
                  .angles = random.normals(memory, {tokens, 2, dim / 2}),
                  .slots = memory.copy(slots, {tokens}),
                  .kv = {.keys = {}, .values = {}, .kv_heads = kv_heads, .head_dim = dim, .block_tokens = block_tokens},
                  .out = memory.make(DType::f32, {tokens, heads, dim})};
  reference::KvValues kv;
  const reference::Values q = reference::rope_store(store, kv);
  PagedAttention attention{.q = memory.copy(std::vector<float>(q.begin(), q.end()), {tokens, heads, dim}),
                           .kv = store.kv,
                           .positions = memory.copy(positions, {tokens}),
                           .row_of_token = memory.make(DType::i32, {tokens}),
                           .block_tables = memory.copy(std::vector<int32_t>{2, 0}, {1, 2}),
                           .first_block = memory.make(DType::i32, {1}),
                           .scale = 0.2f,
                           .window = 0,
                           .sinks = {},
                           .out = {}};
  const reference::Values expected = reference::paged_attention(attention, kv);
  for (const auto& [name, fast, backend] : backends()) {
    SCOPED_TRACE(name);
    const AttentionCase c{"", heads, kv_heads, dim, 0, false, {}};
    const KvMemory layer(*backend, c, 3);
    store.kv = attention.kv = layer.layer;
    store.out = result(memory, {tokens, heads, dim});
    run(*backend, store);
    EXPECT_LE(relative_l2(store.out.values<float>(), q), 1e-7);
    attention.q = store.out;
    attention.out = result(memory, store.out.shape());
    run(*backend, attention);
    EXPECT_LE(relative_l2(attention.out.values<float>(), expected), fast ? 0x1p-7 : 2e-6);
  }
}

TEST(PagedAttention, SinksAreAnExtraLogitWithoutAValue) {
  const AttentionCase c{"", 2, 1, 16, 0, true, {{0, 1}}};
  for (const auto& [name, fast, backend] : backends())
    for (const float sink : {-1e30f, -50.f, 0.f, 50.f}) {
      SCOPED_TRACE(name);
      Memory memory;
      const AttentionStep step(c, all_parts(c), 1);
      const KvMemory kv(*backend, c, step.blocks());
      run(*backend, step.store_fresh(memory, kv.layer));
      PagedAttention op = step.attention(memory, kv.layer);
      op.sinks = memory.copy(std::vector<float>{sink, sink}, {2});
      run(*backend, op);
      const RowValues row(c, 0);
      for (int n = 0; n < 2; ++n) {
        double score = 0;
        for (int d = 0; d < 16; ++d) score += double(row.q[size_t(n * 16 + d)]) * double(row.k[size_t(d)]);
        const double weight = 1 / (1 + std::exp(double(sink) - score * double(c.scale())));
        for (int d = 0; d < 16; ++d)
          EXPECT_NEAR(op.out.data<float>()[n * 16 + d], weight * double(row.v[size_t(d)]), 1e-6);
      }
    }
}

TEST(PagedAttention, RefusesShapesThatTheKernelsLack) {
  for (const auto& [name, fast, backend] : backends()) {
    CpuBackend& b = *backend;
    EXPECT_THROW(b.make_kv_layer(1, 1, 64, 32), Error) << "blocks of 32";
    EXPECT_THROW(b.make_kv_layer(1, 1, 40, 16), Error) << "40 dimensions";
    EXPECT_THROW(b.make_kv_layer(1, 1, 528, 16), Error) << "528 dimensions";
    const AttentionCase c{"", 65, 1, 16, 0, false, {{0, 1}}};
    Memory memory;
    const AttentionStep step(c, all_parts(c), 1);
    EXPECT_THROW(attend(b, memory, c, step), Error) << "65 heads per kv head";
    b.use_workspace(Arena());
  }
}

}  // namespace
}  // namespace chorus::test
