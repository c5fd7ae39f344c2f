#pragma once

#include "ops/matrix.h"

namespace chorus {

/// gpt-oss's activation: g = min(gate, limit), u = clamp(up, -limit, limit), g * sigmoid(alpha * g) * (u + 1).
struct ClampedSwiglu {
  float alpha = 1.702f;
  float limit = 7;
};

/// A mixture of experts, each a gated two-layer network:
///     out[t] = residual[t] + sum_j weights[t,j] * down_e(swiglu(gate_e(x[t]), up_e(x[t]))),   e = experts[t,j]
/// summed in the order of j. Every expert's weights are read once per step, however many tokens chose it.
/// x and the activations are rounded on the way in as in MatMul; relative L2 error of the sum against
/// reference/: 2e-6 exact, 2e-2 int8.
struct ExpertMlp {
  Tensor x;                     ///< [T, H]
  Tensor experts;               ///< [T, K] i32
  Tensor weights;               ///< [T, K] f32
  ExpertLinear gate, up, down;  ///< E times: H -> I, H -> I, I -> H
  ClampedSwiglu activation;
  Tensor residual = {};         ///< [T, H] f32, or empty: 0
  Tensor out;                   ///< [T, H], not x; may be the residual
};
void check(const ExpertMlp& op);

}  // namespace chorus
