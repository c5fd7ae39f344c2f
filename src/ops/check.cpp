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

void check(const Add& op) {
  require(op.a.dtype() == DType::f32, "Add", "a", "f32");
  require_tensor(op.b, op.a.shape(), DType::f32, "Add", "b");
  require_tensor(op.out, op.a.shape(), DType::f32, "Add", "out");
}

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
  require(op.x.shape().rank() == 2, "RmsNorm", "x", "[T, H]");
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

void check(const Rope& op) {
  require(op.x.shape().rank() == 3 && op.x.size(2) % 2 == 0, "Rope", "x", "[T, N, D], D even");
  require(op.x_stride >= op.x.size(1) * op.x.size(2), "Rope", "x_stride", ">= N * D");
  require_tensor(op.angles, {op.x.size(0), 2, op.x.size(2) / 2}, DType::f32, "Rope", "angles");
  require_shape(op.out, op.x.shape(), "Rope", "out");
}

void check(const KvStore& op) {
  require_rank(op.slots, 1, DType::i32, "KvStore", "slots", "[T] i32");
  require_shape(op.k, {op.slots.size(0), op.kv.kv_heads, op.kv.head_dim}, "KvStore", "k");
  require_shape(op.v, op.k.shape(), "KvStore", "v");
  require(op.v_stride >= op.kv.kv_heads * op.kv.head_dim, "KvStore", "v_stride", ">= G * D");
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
  require_rank(op.logits, 2, DType::f32, "Routing", "logits", "[T, E] f32");
  require_rank(op.experts, 2, DType::i32, "Routing", "experts", "[T, K] i32");
  require(op.experts.size(1) >= 1 && op.experts.size(1) <= op.logits.size(1), "Routing", "experts", "1 <= K <= E");
  require_shape(op.experts, {op.logits.size(0), op.experts.size(1)}, "Routing", "experts");
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
}

}  // namespace chorus
