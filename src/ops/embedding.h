#pragma once

#include "ops/matrix.h"

namespace chorus {

/// out[t] = row token_ids[t] of the table, dequantised. An id outside the vocabulary is the caller's mistake.
struct Embedding {
  Matrix table;      ///< [V, H], placed by Backend::place_table
  Tensor token_ids;  ///< [T] i32
  Tensor out;        ///< [T, H]
};
void check(const Embedding& op);

}  // namespace chorus
