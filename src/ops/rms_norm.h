#pragma once

#include "tensor/tensor.h"

namespace chorus {

/// Scales every row to root-mean-square 1, then by a learned weight:
///     out[t,h] = weight[h] * x[t,h] / sqrt(mean_h(x[t,h]^2) + eps)
/// Squares are summed in f32. Relative error against reference/: 1e-5 in f32. (Zhang, Sennrich 2019)
struct RmsNorm {
  Tensor x;       ///< [T, H] f32
  Tensor weight;  ///< [H] f32
  float eps;      ///< > 0, added to the mean square
  Tensor out;     ///< [T, H]; may be x itself
};
void check(const RmsNorm& op);

}  // namespace chorus
