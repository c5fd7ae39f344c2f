#include "ops/backend.h"

#include <chrono>

#include "chorus/error.h"

namespace chorus {

void Backend::run(const Draw&) {
  throw Error(Fault::internal, "this backend draws no tokens").with("backend", name());
}

void Backend::run(const QkvRopeStore& op) {
  const Arena::Scope scope(workspace());
  const int64_t heads = op.out.size(1) + 2 * op.kv.kv_heads;
  const Tensor qkv = workspace().tensor(DType::f32, {op.x.size(0), heads * op.kv.head_dim});
  run(MatMul{.x = op.x, .linear = op.qkv, .out = qkv});
  run(RopeStore{.qkv = qkv.view({op.x.size(0), heads, op.kv.head_dim}),
                .angles = op.angles,
                .slots = op.slots,
                .kv = op.kv,
                .out = op.out});
}

double Backend::seconds_of(FunctionRef<void()> work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace chorus
