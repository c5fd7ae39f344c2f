#pragma once

#include "ops/matrix.h"

namespace chorus {

/// out[t,o] = residual[t,o] + (bias[o] + sum_i x[t,i] * W[o,i])
/// A backend may round x on the way in (DESIGN: numerics): int8 per 32 inputs on a fast CPU, bf16 on a GPU.
/// Relative L2 error of the product against reference/: 2e-8 * sqrt(I), at least 1e-6, exact; 1e-2 int8; 4e-3 bf16.
struct MatMul {
  Tensor x;              ///< [T, I]
  Linear linear;         ///< I -> O, placed by the backend
  Tensor residual = {};  ///< [T, O] f32, or empty: 0
  Tensor out;            ///< [T, O]; may be the residual
};
void check(const MatMul& op);

}  // namespace chorus
