#include "ops/ops.h"

namespace chorus {
namespace {

/// The first of the heads [first, ...) of rows [T, heads, D], as a tensor of `heads` heads.
Tensor from_head(const Tensor& x, int64_t first, int64_t heads) {
  const size_t skipped = size_t(first * x.size(2)) * size_of(x.dtype());
  void* data = x.raw() == nullptr ? nullptr : static_cast<std::byte*>(x.raw()) + skipped;
  return {x.dtype(), {x.size(0), heads, x.size(2)}, data};
}

}  // namespace

Tensor Ops::embedding(const Matrix& table, const Tensor& token_ids) {
  const Embedding op{.table = table, .token_ids = token_ids, .out = make({token_ids.size(0), table.columns})};
  run(op);
  return op.out;
}

Tensor Ops::rms_norm(const Tensor& x, const Tensor& weight, float eps) {
  const RmsNorm op{.x = x, .weight = weight, .eps = eps, .out = make(x.shape())};
  run(op);
  return op.out;
}

Tensor Ops::exact_linear(const Tensor& x, const Linear& w) {
  const MatMul op{.x = x, .linear = w, .out = make({x.size(0), w.outputs()}), .exact_inputs = true};
  run(op);
  return op.out;
}

Tensor Ops::linear(const Tensor& x, const Linear& w) {
  const MatMul op{.x = x, .linear = w, .out = make({x.size(0), w.outputs()})};
  run(op);
  return op.out;
}

void Ops::add_linear(const Tensor& to, const Tensor& x, const Linear& w) {
  run(MatMul{.x = x, .linear = w, .residual = to, .out = to});
}

Tensor Ops::rope_angles(const Tensor& positions, const Tensor& frequencies, float scale) {
  const Tensor out = backend_.workspace().tensor(DType::f32, {positions.size(0), 2, frequencies.size(0)});
  run(RopeAngles{.positions = positions, .frequencies = frequencies, .scale = scale, .out = out});
  return out;
}

Tensor Ops::rope(const Tensor& x, const Tensor& angles, int64_t first, int64_t heads) {
  const Rope op{.x = from_head(x, first, heads),
                .angles = angles,
                .x_stride = x.row_size(),
                .out = make({x.size(0), heads, x.size(2)})};
  run(op);
  return op.out;
}

void Ops::kv_store(const KvLayer& kv, const Tensor& k, const Tensor& v, int64_t first, const Tensor& slots) {
  run(KvStore{
      .k = k, .v = from_head(v, first, kv.kv_heads), .v_stride = v.row_size(), .slots = slots, .kv = kv});
}

Tensor Ops::paged_attention(PagedAttention op) {
  op.out = make(op.q.shape());
  run(op);
  return op.out;
}

Ops::Routed Ops::routing(const Tensor& logits, int64_t experts_per_token) {
  const Shape shape{logits.size(0), experts_per_token};
  const Routing op{.logits = logits,
                   .experts = backend_.workspace().tensor(DType::i32, shape),
                   .weights = backend_.workspace().tensor(DType::f32, shape)};
  run(op);
  return {op.experts, op.weights};
}

Tensor Ops::expert_mlp(ExpertMlp op) {
  op.out = make(op.x.shape());
  run(op);
  return op.out;
}

void Ops::add_expert_mlp(const Tensor& to, ExpertMlp op) {
  op.residual = op.out = to;
  run(op);
}

Tensor Ops::rows(const Tensor& x, const Tensor& index) {
  const Rows op{.x = x, .index = index, .out = make({index.size(0), x.size(1)})};
  run(op);
  return op.out;
}

}  // namespace chorus
