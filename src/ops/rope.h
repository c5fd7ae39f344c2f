#pragma once

#include "ops/kv_layer.h"

namespace chorus {

/// The cosine and sine of every token's angles, once per step for all layers:
///     angle[t,i] = positions[t] * frequencies[i]
///     out[t,0,i] = scale * cos(angle), out[t,1,i] = scale * sin(angle)
/// Error against reference/: 1e-6 absolute per unit of scale, whatever the position (the product is not rounded to
/// f32 before its cosine is taken).
struct RopeAngles {
  Tensor positions;    ///< [T] i32
  Tensor frequencies;  ///< [D/2] f32, radians per position
  float scale;         ///< YaRN's attention factor, 1 without
  Tensor out;          ///< [T, 2, D/2] f32
};
void check(const RopeAngles& op);

/// Takes the merged q, k and v of every token apart: q is rotated into `out`, k rotated and v as it is go into the
/// token's slot of the cache. A head is rotated in the pairs (x[i], x[i + D/2]) by the token's angles (Su et al. 2021,
/// in the half-split form of GPT-NeoX):
///     x[i] * cos[i] - x[i + D/2] * sin[i],   x[i + D/2] * cos[i] + x[i] * sin[i]
/// Error of the rotation: one rounding of each product and of their sum, then that of out's or the cache's dtype.
struct RopeStore {
  Tensor qkv;     ///< [T, N + 2G, D] f32: the heads of q, of k, of v
  Tensor angles;  ///< [T, 2, D/2] from RopeAngles
  Tensor slots;   ///< [T] i32
  KvLayer kv;     ///< of G heads
  Tensor out;     ///< [T, N, D]
};
void check(const RopeStore& op);

}  // namespace chorus
