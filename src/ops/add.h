#pragma once

#include "tensor/tensor.h"

namespace chorus {

/// out = a + b, elementwise: the residual stream takes what a block adds to it.
struct Add {
  Tensor a, b;  ///< same shape, f32
  Tensor out;   ///< may be a or b
};
void check(const Add& op);

}  // namespace chorus
