// What the products by one matrix, MatMul and QkvRopeStore, share.
#pragma once

#include "backend/cuda/panel_product.cuh"

namespace chorus::cuda {

/// x W^T, bias as it comes from the file: x [tokens, padded columns] bf16. Grid: units of panels x tiles of
/// tokens. What becomes of the sums is the derived product's.
template <int n_tokens>
struct DenseProduct {
  static constexpr bool early = true;
  static constexpr int matrices = 1;

  const std::byte* weights;
  PanelFormat f;
  const float* bias;  ///< [rows], or null
  int64_t tokens;

  DenseProduct(const Linear& linear, int64_t token_count)
      : weights(static_cast<const std::byte*>(linear.weight.data.raw())),
        f(format_of(linear.weight)),
        bias(linear.bias.empty() ? nullptr : linear.bias.data<float>()),
        tokens(token_count) {}

  __device__ const PanelFormat& format() const { return f; }
  __device__ int64_t first_token() const { return int64_t(blockIdx.y) * n_tokens; }
  template <typename S>
  __device__ bool find(Unit<S::panels>& unit) const {
#pragma unroll
    for (int g = 0; g < S::groups; ++g)  // past the last: not put
      unit.panels[g] = weights + min(int64_t(blockIdx.x) * S::groups + g, f.panels() - 1) * f.panel_bytes();
    unit.first_row = int(first_token());
    unit.tokens = int(min(tokens - first_token(), int64_t(n_tokens)));
    return true;
  }
};

/// Calls multiply.operator()<S, Split>() with the shapes for a matrix of this format by so many tokens, of one
/// panel a warpgroup: where there are units enough, and where a unit's classes go to blocks of their own.
template <typename F>
void dispatch_dense(const PanelFormat& f, int64_t tokens, F&& multiply) {
  const auto shape = [&]<int n_tokens, int groups, int stage_chunks, int most_blocks>() {
    constexpr bool large = n_tokens > 64;
    dispatch_coded(f, [&]<typename Coded>() {
      constexpr int fitting = Coded::kind == PanelKind::f32 ? std::min(groups, 2) : groups;  // in shared memory
      using S = Shape<Coded, 1, n_tokens, fitting, stage_chunks, most_blocks>;
      using Split = std::conditional_t<large, Shape<Coded, 1, n_tokens, 1, 1, 3, true>, S>;
      multiply.template operator()<S, Split>();
    });
  };
  // By measurement (docs/performance-cuda.md). Few blocks a multiprocessor leave room for all of a class's chunks;
  // warpgroups that share their inputs ask less of the cache.
  if (tokens <= 8)
    shape.template operator()<8, 1, 2, 3>();
  else if (tokens <= 16)
    shape.template operator()<16, 1, 2, 3>();
  else if (tokens <= 32)
    shape.template operator()<32, 1, 2, 3>();
  else if (tokens <= 64)
    shape.template operator()<64, 1, 2, 3>();
  else if (tokens <= 104)
    shape.template operator()<104, 3, 1, 1>();
  else
    shape.template operator()<128, 2, 1, 1>();
}

}  // namespace chorus::cuda
