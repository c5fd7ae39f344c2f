#pragma once

#include "ops/kv_layer.h"
#include "ops/matrix.h"

namespace chorus {

/// What attention takes, from its normed input: MatMul, then RopeStore of what that gives,
///     qkv = x W^T + bias,   out = rotated q,   the token's slot of the cache = rotated k, v
/// bit for bit as the two ops give it.
struct QkvRopeStore {
  Tensor x;       ///< [T, H]
  Linear qkv;     ///< H -> (N + 2G)*D: the heads of q, of k, of v; placed by the backend
  Tensor angles;  ///< [T, 2, D/2] from RopeAngles
  Tensor slots;   ///< [T] i32, each of one token
  KvLayer kv;     ///< of G heads
  Tensor out;     ///< [T, N, D], not x
};
void check(const QkvRopeStore& op);

}  // namespace chorus
