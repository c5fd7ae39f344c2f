#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace chorus::cuda {

/// Steps that were seen, by their keys, and the graphs of those that came again and again. The one unused for
/// longest makes room for a new one.
class GraphCache {
 public:
  struct Step {
    int seen = 0;
    cudaGraphExec_t graph = nullptr;
    Tensor result;

   private:
    friend class GraphCache;
    std::array<int64_t, 24> key{};
    size_t key_size = 0;
    int64_t last_use = 0;
  };

  GraphCache() { steps_.reserve(most_steps); }
  GraphCache(const GraphCache&) = delete;
  ~GraphCache() { clear(); }

  /// Valid until the next call. Null for a key that is too long.
  Step* find(std::span<const int64_t> key);
  void clear();

 private:
  static constexpr size_t most_steps = 64;

  std::vector<Step> steps_;
  int64_t uses_ = 0;
};

}  // namespace chorus::cuda
