// The contracts of the op structs. A broken one is our own mistake, so the error names the op and the field.
#include "chorus/error.h"
#include "ops/backend.h"

namespace chorus {
namespace {

void require(bool holds, const char* op, const char* field, const char* expected) {
  if (!holds)
    throw Error(Fault::internal, "an op was called with a wrong argument")
        .with("op", op).with("field", field).with("expected", expected);
}

void require_shape(const Tensor& t, const Shape& shape, const char* op, const char* field) {
  if (!(t.shape() == shape))
    throw Error(Fault::internal, "an op was called with a wrong shape")
        .with("op", op).with("field", field).with("expected", shape.text()).with("actual", t.shape().text());
}

const char* wanted(DType dtype) { return dtype == DType::i32 ? "i32" : "f32"; }

void require_tensor(const Tensor& t, const Shape& shape, DType dtype, const char* op, const char* field) {
  require_shape(t, shape, op, field);
  require(t.dtype() == dtype, op, field, wanted(dtype));
}

void require_rank(const Tensor& t, int rank, DType dtype, const char* op, const char* field, const char* expected) {
  require(t.shape().rank() == rank && t.dtype() == dtype, op, field, expected);
}

// While measuring, nothing has an address.
bool same_memory(const Tensor& a, const Tensor& b) { return a.raw() != nullptr && a.raw() == b.raw(); }

void require_placed(const Matrix& m, const char* op, const char* field) {
  require(m.layout == Layout::placed, op, field, "placed by the backend");
}

void require_experts(const ExpertLinear& w, int64_t experts, int64_t outputs, int64_t inputs, const char* field,
                     const char* bias_field) {
  require(w.experts() == experts && w.weight.rows == outputs && w.weight.columns == inputs, "ExpertMlp", field,
          "E experts; gate and up H -> I, down I -> H");
  require_placed(w.weight, "ExpertMlp", field);
  if (!w.bias.empty()) require_shape(w.bias, {experts, outputs}, "ExpertMlp", bias_field);
}

}  // namespace

void check(const Rows& op) {
  require(op.x.shape().rank() == 2, "Rows", "x", "[T, H]");
  require_rank(op.index, 1, DType::i32, "Rows", "index", "[L] i32");
  require_shape(op.out, {op.index.size(0), op.x.size(1)}, "Rows", "out");
  require(!same_memory(op.out, op.x), "Rows", "out", "not x");
}

void check(const Embedding& op) {
  require_rank(op.token_ids, 1, DType::i32, "Embedding", "token_ids", "[T] i32");
  require_shape(op.out, {op.token_ids.size(0), op.table.columns}, "Embedding", "out");
}

void check(const RmsNorm& op) {
  require_rank(op.x, 2, DType::f32, "RmsNorm", "x", "[T, H] f32");
  require_tensor(op.weight, {op.x.size(1)}, DType::f32, "RmsNorm", "weight");
  require(op.eps > 0, "RmsNorm", "eps", "> 0");
  require_shape(op.out, op.x.shape(), "RmsNorm", "out");
}

void check(const MatMul& op) {
  require(op.x.shape().rank() == 2 && op.x.size(1) == op.linear.inputs(), "MatMul", "x", "[T, inputs]");
  require_placed(op.linear.weight, "MatMul", "linear");
  require_shape(op.out, {op.x.size(0), op.linear.outputs()}, "MatMul", "out");
  if (!op.linear.bias.empty()) require_shape(op.linear.bias, {op.linear.outputs()}, "MatMul", "linear.bias");
  if (!op.residual.empty()) require_tensor(op.residual, op.out.shape(), DType::f32, "MatMul", "residual");
}

void check(const RopeAngles& op) {
  require_rank(op.positions, 1, DType::i32, "RopeAngles", "positions", "[T] i32");
  require_rank(op.frequencies, 1, DType::f32, "RopeAngles", "frequencies", "[D/2] f32");
  require_tensor(op.out, {op.positions.size(0), 2, op.frequencies.size(0)}, DType::f32, "RopeAngles", "out");
}

void check(const RopeStore& op) {
  const int64_t dim = op.kv.head_dim;
  require_rank(op.qkv, 3, DType::f32, "RopeStore", "qkv", "[T, N + 2G, D] f32");
  require(op.qkv.size(2) == dim && dim % 2 == 0, "RopeStore", "qkv", "D is head_dim, even");
  require(op.qkv.size(1) >= 2 * op.kv.kv_heads, "RopeStore", "qkv", "N + 2G heads");
  require_tensor(op.angles, {op.qkv.size(0), 2, dim / 2}, DType::f32, "RopeStore", "angles");
  require_tensor(op.slots, {op.qkv.size(0)}, DType::i32, "RopeStore", "slots");
  require_shape(op.out, {op.qkv.size(0), op.qkv.size(1) - 2 * op.kv.kv_heads, dim}, "RopeStore", "out");
}

void check(const QkvRopeStore& op) {
  const int64_t dim = op.kv.head_dim;
  require(op.x.shape().rank() == 2 && op.x.size(1) == op.qkv.inputs(), "QkvRopeStore", "x", "[T, H]");
  const int64_t tokens = op.x.size(0);
  require_placed(op.qkv.weight, "QkvRopeStore", "qkv");
  require(dim > 0 && dim % 2 == 0, "QkvRopeStore", "kv", "head_dim is even");
  require(op.qkv.outputs() % dim == 0 && op.qkv.outputs() / dim >= 2 * op.kv.kv_heads, "QkvRopeStore", "qkv",
          "H -> (N + 2G)*D");
  if (!op.qkv.bias.empty()) require_shape(op.qkv.bias, {op.qkv.outputs()}, "QkvRopeStore", "qkv.bias");
  require_tensor(op.angles, {tokens, 2, dim / 2}, DType::f32, "QkvRopeStore", "angles");
  require_tensor(op.slots, {tokens}, DType::i32, "QkvRopeStore", "slots");
  require_shape(op.out, {tokens, op.qkv.outputs() / dim - 2 * op.kv.kv_heads, dim}, "QkvRopeStore", "out");
  require(!same_memory(op.out, op.x), "QkvRopeStore", "out", "not x");
}

void check(const PagedAttention& op) {
  require(op.q.shape().rank() == 3 && op.q.size(2) == op.kv.head_dim, "PagedAttention", "q", "[T, N, D]");
  require(op.q.size(1) % op.kv.kv_heads == 0, "PagedAttention", "q", "heads a multiple of kv_heads");
  require_tensor(op.positions, {op.q.size(0)}, DType::i32, "PagedAttention", "positions");
  require_tensor(op.row_of_token, {op.q.size(0)}, DType::i32, "PagedAttention", "row_of_token");
  require_rank(op.block_tables, 2, DType::i32, "PagedAttention", "block_tables", "[R, stride] i32");
  require_tensor(op.first_block, {op.block_tables.size(0)}, DType::i32, "PagedAttention", "first_block");
  require(op.scale > 0, "PagedAttention", "scale", "> 0");
  require(op.window >= 0, "PagedAttention", "window", ">= 0");
  if (!op.sinks.empty()) require_tensor(op.sinks, {op.q.size(1)}, DType::f32, "PagedAttention", "sinks");
  require_shape(op.out, op.q.shape(), "PagedAttention", "out");
}

void check(const Routing& op) {
  require_rank(op.x, 2, DType::f32, "Routing", "x", "[T, H] f32");
  require_tensor(op.norm, {op.x.size(1)}, DType::f32, "Routing", "norm");
  require(op.eps > 0, "Routing", "eps", "> 0");
  require(op.router.inputs() == op.x.size(1), "Routing", "router", "H -> E");
  require_placed(op.router.weight, "Routing", "router");
  if (!op.router.bias.empty()) require_shape(op.router.bias, {op.router.outputs()}, "Routing", "router.bias");
  require_shape(op.normed, op.x.shape(), "Routing", "normed");
  require(!same_memory(op.normed, op.x), "Routing", "normed", "not x");
  require_rank(op.experts, 2, DType::i32, "Routing", "experts", "[T, K] i32");
  require(op.experts.size(1) >= 1 && op.experts.size(1) <= op.router.outputs(), "Routing", "experts", "1 <= K <= E");
  require_shape(op.experts, {op.x.size(0), op.experts.size(1)}, "Routing", "experts");
  require_tensor(op.weights, op.experts.shape(), DType::f32, "Routing", "weights");
}

void check(const ExpertMlp& op) {
  require(op.x.shape().rank() == 2, "ExpertMlp", "x", "[T, H]");
  const int64_t tokens = op.x.size(0), hidden = op.x.size(1), experts = op.gate.experts();
  const int64_t inner = op.gate.weight.rows;
  require_rank(op.experts, 2, DType::i32, "ExpertMlp", "experts", "[T, K] i32");
  require(op.experts.size(1) >= 1, "ExpertMlp", "experts", "1 <= K");
  require_shape(op.experts, {tokens, op.experts.size(1)}, "ExpertMlp", "experts");
  require_tensor(op.weights, op.experts.shape(), DType::f32, "ExpertMlp", "weights");
  require_experts(op.gate, experts, inner, hidden, "gate", "gate.bias");
  require_experts(op.up, experts, inner, hidden, "up", "up.bias");
  require_experts(op.down, experts, hidden, inner, "down", "down.bias");
  require_shape(op.out, op.x.shape(), "ExpertMlp", "out");
  require(!same_memory(op.out, op.x), "ExpertMlp", "out", "not x");
  if (!op.residual.empty()) require_tensor(op.residual, op.x.shape(), DType::f32, "ExpertMlp", "residual");
  if (op.next_norm.empty()) return;
  require_tensor(op.next_norm, {hidden}, DType::f32, "ExpertMlp", "next_norm");
  require(op.eps > 0, "ExpertMlp", "eps", "> 0");
  require_shape(op.next_normed, op.x.shape(), "ExpertMlp", "next_normed");
  require(!same_memory(op.next_normed, op.out), "ExpertMlp", "next_normed", "not out");
}

}  // namespace chorus
