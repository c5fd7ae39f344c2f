#pragma once

#include "tensor/tensor.h"

namespace chorus {

/// The K experts of every token, by descending router logit (ties: the lower expert), and the softmax over their
/// logits.
struct Routing {
  Tensor logits;   ///< [T, E] f32
  Tensor experts;  ///< [T, K] i32, out
  Tensor weights;  ///< [T, K] f32, out
};
void check(const Routing& op);

}  // namespace chorus
