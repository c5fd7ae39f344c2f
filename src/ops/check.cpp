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

void require_vector(const Tensor& t, int64_t n, DType dtype, const char* op, const char* field) {
  require_shape(t, {n}, op, field);
  require(t.dtype() == dtype, op, field, dtype == DType::i32 ? "i32" : "f32");
}

}  // namespace

void check(const Add& op) {
  require_shape(op.b, op.a.shape(), "Add", "b");
  require_shape(op.out, op.a.shape(), "Add", "out");
}

void check(const Rows& op) {
  require(op.x.shape().rank() == 2, "Rows", "x", "[T, H]");
  require(op.index.shape().rank() == 1 && op.index.dtype() == DType::i32, "Rows", "index", "[L] i32");
  require_shape(op.out, {op.index.size(0), op.x.size(1)}, "Rows", "out");
}

void check(const Embedding& op) {
  require(op.token_ids.shape().rank() == 1 && op.token_ids.dtype() == DType::i32, "Embedding", "token_ids", "[T] i32");
  require_shape(op.out, {op.token_ids.size(0), op.table.columns}, "Embedding", "out");
}

void check(const RmsNorm& op) {
  require(op.x.shape().rank() == 2, "RmsNorm", "x", "[T, H]");
  require_vector(op.weight, op.x.size(1), DType::f32, "RmsNorm", "weight");
  require(op.eps > 0, "RmsNorm", "eps", "> 0");
  require_shape(op.out, op.x.shape(), "RmsNorm", "out");
}

void check(const MatMul& op) {
  require(op.x.shape().rank() == 2 && op.x.size(1) == op.linear.inputs(), "MatMul", "x", "[T, inputs]");
  require_shape(op.out, {op.x.size(0), op.linear.outputs()}, "MatMul", "out");
  if (!op.linear.bias.empty()) require_shape(op.linear.bias, {op.linear.outputs()}, "MatMul", "linear.bias");
}

void check(const RopeAngles& op) {
  require(op.positions.shape().rank() == 1 && op.positions.dtype() == DType::i32, "RopeAngles", "positions", "[T] i32");
  require(op.frequencies.dtype() == DType::f32, "RopeAngles", "frequencies", "f32");
  require_shape(op.out, {op.positions.size(0), 2, op.frequencies.size(0)}, "RopeAngles", "out");
}

void check(const Rope& op) {
  require(op.x.shape().rank() == 3 && op.x.size(2) % 2 == 0, "Rope", "x", "[T, N, D], D even");
  require(op.x_stride >= op.x.row_size(), "Rope", "x_stride", ">= N * D");
  require_shape(op.angles, {op.x.size(0), 2, op.x.size(2) / 2}, "Rope", "angles");
  require_shape(op.out, op.x.shape(), "Rope", "out");
}

void check(const KvStore& op) {
  require_shape(op.k, {op.slots.size(0), op.kv.kv_heads, op.kv.head_dim}, "KvStore", "k");
  require_shape(op.v, op.k.shape(), "KvStore", "v");
  require(op.v_stride >= op.v.row_size(), "KvStore", "v_stride", ">= G * D");
}

void check(const PagedAttention& op) {
  require(op.q.shape().rank() == 3 && op.q.size(2) == op.kv.head_dim, "PagedAttention", "q", "[T, N, D]");
  require(op.q.size(1) % op.kv.kv_heads == 0, "PagedAttention", "q", "heads a multiple of kv_heads");
  require_vector(op.positions, op.q.size(0), DType::i32, "PagedAttention", "positions");
  require_vector(op.row_of_token, op.q.size(0), DType::i32, "PagedAttention", "row_of_token");
  require(op.block_tables.shape().rank() == 2, "PagedAttention", "block_tables", "[R, stride]");
  require_vector(op.first_block, op.block_tables.size(0), DType::i32, "PagedAttention", "first_block");
  if (!op.sinks.empty()) require_vector(op.sinks, op.q.size(1), DType::f32, "PagedAttention", "sinks");
  require_shape(op.out, op.q.shape(), "PagedAttention", "out");
}

void check(const Routing& op) {
  require(op.logits.shape().rank() == 2 && op.logits.dtype() == DType::f32, "Routing", "logits", "[T, E] f32");
  require(op.experts.size(1) >= 1 && op.experts.size(1) <= op.logits.size(1), "Routing", "experts", "1 <= K <= E");
  require_shape(op.experts, {op.logits.size(0), op.experts.size(1)}, "Routing", "experts");
  require_shape(op.weights, op.experts.shape(), "Routing", "weights");
}

void check(const ExpertMlp& op) {
  const int64_t tokens = op.x.size(0), hidden = op.x.size(1), experts = op.gate.experts();
  const int64_t inner = op.gate.weight.rows;
  require_shape(op.experts, {tokens, op.experts.size(1)}, "ExpertMlp", "experts");
  require_shape(op.weights, op.experts.shape(), "ExpertMlp", "weights");
  require(op.gate.weight.columns == hidden, "ExpertMlp", "gate", "H inputs");
  require(op.up.experts() == experts && op.up.weight.rows == inner && op.up.weight.columns == hidden, "ExpertMlp",
          "up", "like gate");
  require(op.down.experts() == experts && op.down.weight.rows == hidden && op.down.weight.columns == inner,
          "ExpertMlp", "down", "gate the other way");
  require_shape(op.out, op.x.shape(), "ExpertMlp", "out");
}

}  // namespace chorus
