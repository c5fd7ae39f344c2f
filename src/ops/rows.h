#pragma once

#include "tensor/tensor.h"

namespace chorus {

/// out[i] = x[index[i]]: the tokens whose logits are wanted.
struct Rows {
  Tensor x;      ///< [T, H]
  Tensor index;  ///< [L] i32, 0 <= index < T
  Tensor out;    ///< [L, H], not x
};
void check(const Rows& op);

}  // namespace chorus
