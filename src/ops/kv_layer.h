#pragma once

#include "tensor/tensor.h"

namespace chorus {

/// The keys and values of one layer in fixed-size blocks. How a block is laid out inside is the backend's affair;
/// slot s means token s % block_tokens of block s / block_tokens.
struct KvLayer {
  Tensor keys, values;  ///< memory for blocks * kv_heads * block_tokens * head_dim elements each
  int64_t kv_heads = 0, head_dim = 0, block_tokens = 0;
};

}  // namespace chorus
