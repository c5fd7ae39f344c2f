// What RmsNorm, Routing and the experts' combination share.
#pragma once

#include "backend/cuda/device.cuh"

namespace chorus::cuda {

constexpr int norm_threads = 256;
constexpr int norm_quads = 4;  // of a row, which stay in a thread's registers between its passes
constexpr int64_t norm_registers = 4 * norm_quads * norm_threads;  // elements

inline bool norm_in_registers(int64_t hidden) {
  return hidden % 4 == 0 && hidden <= norm_registers;
}

/// Calls f(i, index) for the quads of a row that a thread keeps: its i-th begins at element `index`.
template <typename F>
__device__ __forceinline__ void for_each_quad_of_row(int hidden, F&& f) {
#pragma unroll
  for (int i = 0; i < norm_quads; ++i)
    if (const int at = (int(threadIdx.x) % norm_threads + i * norm_threads) * 4; at < hidden) f(i, at);
}

/// A row as it lies in memory.
struct RowAt {
  const float* x;

  __device__ float operator[](int h) const { return x[h]; }
  /// A thread's quads, of which those past the row stay as they are.
  __device__ void load(int hidden, float4 (&quads)[norm_quads]) const {
    for_each_quad_of_row(hidden, [&](int i, int h) { quads[i] = *reinterpret_cast<const float4*>(x + h); });
  }
};

/// Scales a row (RowAt, or what loads quads as it does) to root-mean-square 1, then by `weight`, and gives the
/// results to put(index, float or float4). For norm_threads neighbouring threads of a block, which meet at the
/// barrier `barrier`. Waits for the row's inputs.
template <bool in_registers, typename Row, typename Put>
__device__ __forceinline__ void norm_row(const Row& x, const float* weight, float eps, int hidden, int barrier,
                                         float* warp_sums, Put&& put) {
  const int thread = int(threadIdx.x) % norm_threads;
  float4 row[norm_quads] = {}, scales[norm_quads];
  float square_sum = 0;
  if constexpr (in_registers)
    for_each_quad_of_row(hidden,
                         [&](int i, int h) { scales[i] = __ldg(reinterpret_cast<const float4*>(weight + h)); });
  wait_for_inputs();
  if constexpr (in_registers) {
    x.load(hidden, row);
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
    for_each_quad_of_row(hidden, [&](int i, int h) {
      put(h, float4{row[i].x * scale * scales[i].x, row[i].y * scale * scales[i].y,
                    row[i].z * scale * scales[i].z, row[i].w * scale * scales[i].w});
    });
  } else {
    for (int h = thread; h < hidden; h += norm_threads) put(h, x[h] * scale * weight[h]);
  }
}

}  // namespace chorus::cuda
