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
/// reference/: 2e-6 exact, 2e-2 int8. What comes after the experts is the norm of the next layer:
///     next_normed = rms_norm(out, next_norm, eps)
/// bit for bit as RmsNorm gives it.
struct ExpertMlp {
  Tensor x;                     ///< [T, H]
  Tensor experts;               ///< [T, K] i32
  Tensor weights;               ///< [T, K] f32
  ExpertLinear gate, up, down;  ///< E times: H -> I, H -> I, I -> H
  ClampedSwiglu activation;
  Tensor residual = {};         ///< [T, H] f32, or empty: 0
  Tensor out;                   ///< [T, H], not x; may be the residual
  Tensor next_norm = {};        ///< [H] f32, or empty: nothing is normed
  float eps = 0;                ///< > 0 where there is a next norm
  Tensor next_normed = {};      ///< [T, H], out; not `out`, may be x
};
void check(const ExpertMlp& op);

}  // namespace chorus
