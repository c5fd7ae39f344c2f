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

/// Keys and values of every layer, in memory of the backend.
struct KvCache {
  std::vector<KvLayer> layers;
};

/// A KvCache that gives its memory back at the end.
class OwnedKvCache {
 public:
  /// `blocks` per pool.
  OwnedKvCache(Backend& backend, const KvShape& shape, const std::vector<int64_t>& blocks, int64_t block_tokens)
      : backend_(backend) {
    for (const int pool : shape.pool_of_layer)
      cache_.layers.push_back(
          backend.make_kv_layer(blocks[size_t(pool)], shape.kv_heads, shape.head_dim, block_tokens));
  }
  OwnedKvCache(const OwnedKvCache&) = delete;
  ~OwnedKvCache() {
    for (const KvLayer& layer : cache_.layers) {
      backend_.release(layer.keys);
      backend_.release(layer.values);
    }
  }
  const KvCache& get() const { return cache_; }

 private:
  Backend& backend_;
  KvCache cache_;
};

}  // namespace chorus
