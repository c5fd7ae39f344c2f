// What RmsNorm and Routing share.
#pragma once

#include "backend/cuda/device.cuh"

namespace chorus::cuda {

constexpr int norm_threads = 256;
constexpr int64_t norm_registers = 4 * 4 * norm_threads;  // elements of a row that stay in registers between its passes

inline bool norm_in_registers(int64_t hidden) {
  return hidden % 4 == 0 && hidden <= norm_registers;
}

/// Scales a row to root-mean-square 1, then by `weight`, and gives the results to put(index, float or float4). For
/// norm_threads neighbouring threads of a block, which meet at the barrier `barrier`. Waits for the row's inputs.
template <bool in_registers, typename Put>
__device__ __forceinline__ void norm_row(const float* x, const float* weight, float eps, int hidden, int barrier,
                                         float* warp_sums, Put&& put) {
  constexpr int per_thread = in_registers ? int(norm_registers / norm_threads / 4) : 1;
  const int thread = int(threadIdx.x) % norm_threads, quads = hidden / 4;
  float4 row[per_thread], scales[per_thread];
  float square_sum = 0;
  if constexpr (in_registers) {
#pragma unroll
    for (int i = 0; i < per_thread; ++i)
      if (const int at = thread + i * norm_threads; at < quads)
        scales[i] = __ldg(reinterpret_cast<const float4*>(weight) + at);
  }
  wait_for_inputs();
  if constexpr (in_registers) {
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
      const int at = thread + i * norm_threads;
      row[i] = at < quads ? reinterpret_cast<const float4*>(x)[at] : float4{0, 0, 0, 0};
    }
#pragma unroll
    for (const float4& v : row)
      square_sum = fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, fmaf(v.w, v.w, square_sum))));
  } else {
    for (int h = thread; h < hidden; h += norm_threads) square_sum = fmaf(x[h], x[h], square_sum);
  }
  square_sum = warp_sum(square_sum);
  if (thread % 32 == 0) warp_sums[thread / 32] = square_sum;
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(norm_threads) : "memory");
  float total = 0;
#pragma unroll
  for (int w = 0; w < norm_threads / 32; ++w) total += warp_sums[w];
  const float scale = 1 / sqrtf(total / float(hidden) + eps);
  if constexpr (in_registers) {
#pragma unroll
    for (int i = 0; i < per_thread; ++i)
      if (const int at = thread + i * norm_threads; at < quads)
        put(at * 4, float4{row[i].x * scale * scales[i].x, row[i].y * scale * scales[i].y,
                           row[i].z * scale * scales[i].z, row[i].w * scale * scales[i].w});
  } else {
    for (int h = thread; h < hidden; h += norm_threads) put(h, x[h] * scale * weight[h]);
  }
}

}  // namespace chorus::cuda
