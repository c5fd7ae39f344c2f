#include "ops/ops.h"

namespace chorus {

Tensor Ops::embedding(const Matrix& table, const Tensor& token_ids) {
  const Embedding op{.table = table, .token_ids = token_ids, .out = make({token_ids.size(0), table.columns})};
  run(op);
  return op.out;
}

Tensor Ops::rms_norm(const Tensor& x, const Tensor& weight, float eps) {
  const RmsNorm op{.x = x, .weight = weight, .eps = eps, .out = make_input(x.shape())};
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

Tensor Ops::qkv_rope_store(const Tensor& x, const Linear& w, const Tensor& angles, const Tensor& slots,
                           const KvLayer& kv) {
  const Tensor q = make_input({x.size(0), w.outputs() / kv.head_dim - 2 * kv.kv_heads, kv.head_dim});
  run(QkvRopeStore{.x = x, .qkv = w, .angles = angles, .slots = slots, .kv = kv, .out = q});
  return q;
}

Tensor Ops::paged_attention(PagedAttention op) {
  op.out = make_input(op.q.shape());
  run(op);
  return op.out;
}

Ops::Routed Ops::norm_and_route(const Tensor& x, const Tensor& norm, float eps, const Linear& router,
                                int64_t experts_per_token) {
  const Shape shape{x.size(0), experts_per_token};
  const Routing op{.x = x,
                   .norm = norm,
                   .eps = eps,
                   .router = router,
                   .normed = make_input(x.shape()),
                   .experts = backend_.workspace().tensor(DType::i32, shape),
                   .weights = backend_.workspace().tensor(DType::f32, shape)};
  run(op);
  return {op.normed, op.experts, op.weights};
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
