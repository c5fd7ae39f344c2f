#include "chorus/error.h"
#include "ops/backend.h"

namespace chorus {
namespace {

void require(bool holds, const char* field, const char* expected) {
  if (!holds)
    throw Error(Fault::internal, "an op was called with a wrong argument")
        .with("op", "Draw")
        .with("field", field)
        .with("expected", expected);
}

bool holds_structs(const Tensor& t, size_t bytes) {
  return t.dtype() == DType::u8 && t.shape().rank() == 2 && t.size(1) == int64_t(bytes);
}

}  // namespace

void check(const Draw& op) {
  require(op.logits.dtype() == DType::f32 && op.logits.shape().rank() == 2 && op.logits.size(1) > 0, "logits",
          "[L, V] f32");
  require(holds_structs(op.rows, sizeof(DrawRow)), "rows", "[S, sizeof(DrawRow)] u8");
  require(holds_structs(op.changes, sizeof(LogitChange)), "changes", "[C, sizeof(LogitChange)] u8");
  require(holds_structs(op.out, sizeof(Drawn)) && op.out.size(0) >= op.rows.size(0), "out",
          "[S, sizeof(Drawn)] u8");
  require(op.rows.size(0) <= op.logits.size(0), "rows", "at most one per row of logits");
}

}  // namespace chorus
