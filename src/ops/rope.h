#pragma once

#include "tensor/tensor.h"

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

/// Rotates the pairs (x[i], x[i + D/2]) of every head by the token's angles (Su et al. 2021, in the half-split form of
/// GPT-NeoX):
///     out[i]       = x[i] * cos[i] - x[i + D/2] * sin[i]
///     out[i + D/2] = x[i + D/2] * cos[i] + x[i] * sin[i]
/// x and out may be columns of wider rows (a merged q, k, v): `x_stride` elements from token to token.
struct Rope {
  Tensor x;        ///< [T, N, D], or the first token of rows x_stride apart
  Tensor angles;   ///< [T, 2, D/2] from RopeAngles
  int64_t x_stride;
  Tensor out;      ///< [T, N, D] contiguous
};
void check(const Rope& op);

}  // namespace chorus
