#pragma once

#include "ops/matrix.h"

namespace chorus {

/// Scales every token as RmsNorm does and picks its K experts, by descending router logit (ties: the lower expert),
/// weighted by the softmax over the chosen logits:
///     normed = rms_norm(x, norm, eps),   logits = router(normed)
/// The logits are compared with one another, so nothing is rounded on the way to them: relative L2 error against
/// reference/ 1e-6 in f32, whatever the dtype of `normed`.
struct Routing {
  Tensor x;        ///< [T, H] f32
  Tensor norm;     ///< [H] f32
  float eps;       ///< > 0
  Linear router;   ///< H -> E, placed by the backend
  Tensor normed;   ///< [T, H], out: what the experts take
  Tensor experts;  ///< [T, K] i32, out
  Tensor weights;  ///< [T, K] f32, out
};
void check(const Routing& op);

}  // namespace chorus
