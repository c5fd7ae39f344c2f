// What the parts of sampling.cu share.
#pragma once

#include "backend/cuda/device.cuh"

namespace chorus::cuda::sampling {

constexpr int chunk_tokens = 4096, scan_threads = 256, per_thread = chunk_tokens / scan_threads;
constexpr int chunk_groups = scan_threads / 32;
constexpr int draw_threads = 1024, bins = draw_threads, listed = 1024;
constexpr int most_chunks = 256;  // of a row: 2^20 tokens, whose weights, at most 2^43 each, 64 bits can add
constexpr float widest = 40;      // e^-40 of the likeliest: what lies beyond is one bin

/// What the first kernel finds in a chunk.
struct Chunk {
  double sum, plain_sum;  ///< of e^((x - largest) / temperature), of e^(x - largest); 0 unless wanted
  float largest, least;   ///< of the numbers above -infinity; -infinity and infinity where there are none
  int32_t largest_at;     ///< in the row; the first of equals
  int32_t nan;
};

constexpr Chunk no_chunk{0, 0, -INFINITY, INFINITY, 0x7fffffff, 0};

__device__ inline bool restricts(const DrawRow& row, int vocabulary) {
  return row.top_p < 1 || row.log_min_p > -INFINITY || (row.top_k > 0 && row.top_k < vocabulary);
}
__device__ inline bool wants_plain_sum(const DrawRow& row) {
  return row.wants_logprob != 0 || (row.inverse_temperature > 0 && row.top_p < 1);
}

/// Called by all threads, and gives all of them the result. `shared` has room for one value per warp.
template <typename T, typename F>
__device__ T reduce_block(T v, T* shared, F&& join) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  for (int d = 16; d > 0; d /= 2) v = join(v, __shfl_xor_sync(all_lanes, v, d));
  __syncthreads();  // before what an earlier call left is written over
  if (lane == 0) shared[warp] = v;
  __syncthreads();
  v = shared[lane % warps];  // warps are a power of two
  for (int d = warps / 2; d > 0; d /= 2) v = join(v, __shfl_xor_sync(all_lanes, v, d));
  return v;
}

/// Sums of the threads before this one; called by all threads. `shared` has room for one value per warp and one
/// more, in which the sum of all is left.
template <typename T>
__device__ T sum_before(T v, T* shared) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  T sum = v;
  for (int d = 1; d < 32; d *= 2) {
    const T below = __shfl_up_sync(all_lanes, sum, d);
    if (lane >= d) sum += below;
  }
  __syncthreads();
  if (lane == 31) shared[warp] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    T total = 0;
    for (int w = 0; w < warps; ++w) {
      const T of_warp = shared[w];
      shared[w] = total;
      total += of_warp;
    }
    shared[warps] = total;
  }
  __syncthreads();
  return shared[warp] + sum - v;
}

/// A row as the second kernel knows it.
struct RowView {
  const float* logits;
  int vocabulary, groups;
  DrawRow row;
  float largest, least;
  double plain_sum;  ///< relative to `largest`
};

using Weight = unsigned long long;  // in units of 2^-43

__device__ inline Weight weight_of(float distance) {  // distance <= 0, in logits
  return Weight(double(expf(distance)) * 0x1p43);
}
/// What top_p and top_k allow; the largest there is where they are off.
__device__ inline Weight top_p_of(const RowView& v) {
  return v.row.top_p < 1 ? max(Weight(v.row.top_p * v.plain_sum * 0x1p43), Weight(1)) : ~Weight(0);
}
__device__ inline unsigned top_k_of(const RowView& v) {
  return v.row.top_k > 0 ? unsigned(v.row.top_k) : ~0u;
}

/// Where in a row the token is: in which chunk, and where its sum of weights relative to its largest logit passes.
struct Found {
  int chunk;
  float largest;
  double target;
};

struct Shared {
  union {
    Weight group_weights[most_chunks * chunk_groups];
    struct {
      Weight plain[bins];
      unsigned counts[bins];
    } hist;
    struct {
      float x[listed], sorted_x[listed];
      int ids[listed], sorted_ids[listed];
    } list;
  };
  Weight weights[bins];
  float group_peaks[most_chunks * chunk_groups];
  Weight scan[draw_threads / 32 + 1];
  double doubles[draw_threads / 32 + 1];
  int count, first_cut, first_bin, token;
  unsigned floor_bits;
  Weight kept_weight;
  Found found;
  RowView view;
};

}  // namespace chorus::cuda::sampling
