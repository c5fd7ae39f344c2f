#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace chorus {

/// One step as a model reads it, in the backend's memory: T tokens of R rows, ragged and mixed (scheduler/plan.h).
struct Step {
  Tensor token_ids;     ///< [T] i32
  Tensor positions;     ///< [T] i32
  Tensor row_of_token;  ///< [T] i32
  struct Pool {
    Tensor slots;         ///< [T] i32
    Tensor block_tables;  ///< [R, stride] i32
    Tensor first_block;   ///< [R] i32
  };
  std::vector<Pool> pools;  ///< one per layer kind
  Tensor logit_tokens;      ///< [L] i32: whose logits are wanted
  int64_t longest = 0;      ///< no row has more positions; 0: as many as its tables hold

  int64_t tokens() const { return token_ids.size(0); }
};

}  // namespace chorus
