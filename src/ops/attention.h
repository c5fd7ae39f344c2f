#pragma once

#include "ops/kv_layer.h"

namespace chorus {

/// Attention of every token of the step to the keys of its own row, itself included:
///     out[t,n] = sum_p softmax_p(scale * q[t,n] . key[p,g]) * value[p,g],   g = n / (N/G)
/// over positions max(0, pos - window + 1) <= p <= pos; sinks[n] is one more logit of the softmax, without a value
/// (gpt-oss; Xiao et al. 2023 for the idea). Keys are summed in tiles that begin at multiples of a fixed number of
/// positions, so a row's result depends neither on how its prompt was cut into chunks nor on its neighbours.
/// Relative L2 error of out against reference/, on what the cache holds: 2e-6 up to 4096 keys. A cache in bf16 rounds
/// keys and values once, in RopeStore. Slots and table entries that no token may see can hold anything, a NaN too.
struct PagedAttention {
  Tensor q;             ///< [T, N, D]
  KvLayer kv;
  Tensor positions;     ///< [T] i32
  Tensor row_of_token;  ///< [T] i32
  Tensor block_tables;  ///< [R, stride] i32
  Tensor first_block;   ///< [R] i32: number, from position 0, of the first block in the row's table
  float scale;          ///< > 0
  int64_t window;       ///< keys that a query sees; 0 = all
  Tensor sinks;         ///< [N] f32 or empty
  Tensor out;           ///< [T, N, D]
  int64_t longest = 0;  ///< no row has more positions; 0: as many as its table holds. For spreading the work alone
};
void check(const PagedAttention& op);

}  // namespace chorus
