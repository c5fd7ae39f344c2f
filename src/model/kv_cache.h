#pragma once

#include <vector>

#include "ops/backend.h"

namespace chorus {

/// The layers that share block tables: all of one window.
struct KvPool {
  int64_t window = 0;  ///< tokens a query sees, itself included; 0 = all
  int64_t layers = 0;
};

/// What a model keeps per token.
struct KvShape {
  std::vector<KvPool> pools;
  std::vector<int> pool_of_layer;
  int64_t kv_heads = 0, head_dim = 0;

  /// Bytes of one block of a pool, in all of its layers.
  size_t block_bytes(size_t pool, int64_t block_tokens, size_t element_bytes) const {
    return size_t(pools[pool].layers * 2 * kv_heads * head_dim * block_tokens) * element_bytes;
  }
};

/// Keys and values of every layer.
struct KvCache {
  std::vector<KvLayer> layers;

  /// `blocks` per pool.
  static KvCache make(Backend& backend, const KvShape& shape, const std::vector<int64_t>& blocks,
                      int64_t block_tokens) {
    KvCache cache;
    for (const int pool : shape.pool_of_layer)
      cache.layers.push_back(
          backend.make_kv_layer(blocks[size_t(pool)], shape.kv_heads, shape.head_dim, block_tokens));
    return cache;
  }
};

}  // namespace chorus
