// Products of few tokens (panel_product.cuh): a thread block takes units, one after the other, each of some panels
// for one tile of up to 8 * n_tiles tokens. Every warp copies the chunks of its class to a ring of its own in
// shared memory, ahead of the arithmetic across the borders of units.
#pragma once

#include "backend/cuda/panel_product.cuh"

namespace chorus::cuda {

constexpr int stream_threads = classes * 32;
/// Blocks that a multiprocessor holds: what the registers allow.
constexpr int stream_blocks(int n_tiles) {
  return n_tiles == 1 ? 6 : n_tiles == 2 ? 5 : 4;
}

/// A thread block's share of `units`. The blocks of a multiprocessor (blockIdx.x, and the number of
/// multiprocessors more, as a rule) get neighbouring ones: they meet the same tokens, which then stay in its L1.
struct Share {
  int first, last;

  __device__ Share(int64_t units, int blocks_per_processor) {
    const unsigned processors = gridDim.x / blocks_per_processor;
    const int64_t index = gridDim.x % blocks_per_processor != 0
                              ? blockIdx.x
                              : blockIdx.x % processors * blocks_per_processor + blockIdx.x / processors;
    first = int(units * index / gridDim.x);
    last = int(units * (index + 1) / gridDim.x);
  }
};

/// The classes' sums side by side, to be added in order.
template <int n_panels, int n_tiles>
struct StreamSums {
  float values[classes][n_panels][n_tiles * 8][panel_rows + 1];  // one more: banks

  __device__ void put(int panel, int n, const float (&sums)[4]) {
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll
    for (int i = 0; i < 4; ++i) values[warp][panel][n * 8 + lane % 4 * 2 + i % 2][lane / 4 + i / 2 * 8] = sums[i];
  }
  __device__ float total(int panel, int token, int row) const {
    float sum = values[0][panel][token][row];
#pragma unroll
    for (int w = 1; w < classes; ++w) sum += values[w][panel][token][row];
    return sum;
  }
};

/// Units [first, last). `Units` says what they are, for this lane:
///   void panels(int unit, const std::byte* (&at)[n_panels])        where the unit's panels begin
///   int tokens(int unit, const uint16_t* (&x)[n_tiles])            inputs of token lane / 4 of every tile; ->
///   tiles used void finish(int unit, const StreamSums<n_panels, n_tiles>&)    by all threads
template <typename Coded, int n_panels, int n_tiles, typename Units>
__device__ __forceinline__ void stream_panels(const PanelFormat& f, int first, int last, Units& units) {
  constexpr int copy_bytes = Coded::copy_bytes, slot_bytes = n_panels * copy_bytes;
  constexpr int depth = slot_bytes * 4 <= 5120 ? 4 : 2;
  constexpr int buffers = n_tiles <= 2 ? 2 : 1;  // the sums of the unit before may still be read
  __shared__ StreamSums<n_panels, n_tiles> shared[buffers];
  __shared__ __align__(16) std::byte rings[classes][depth][slot_bytes];
  if (first >= last) return;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, chunks = int(f.chunks());
  const int chunk_bytes = int(f.chunk_bytes());
  const uint32_t ring = shared_address(rings[warp]), ring_end = ring + depth * slot_bytes;

  const std::byte* from[n_panels];
  int next_unit = first, next_chunk = warp;  // of class `warp`
  const auto begin_unit = [&] {
    units.panels(min(next_unit, last - 1), from);  // past the last: copied, and not used
#pragma unroll
    for (int p = 0; p < n_panels; ++p) from[p] += min(warp, chunks - 1) * chunk_bytes;
  };
  const auto copy_next = [&](uint32_t slot) {
#pragma unroll
    for (int p = 0; p < n_panels; ++p) {
      Chunk<Coded>::copy(slot + p * copy_bytes, from[p]);
      from[p] += classes * chunk_bytes;
    }
    commit_copies();
    next_chunk += classes;
    if (next_chunk >= chunks) {
      next_chunk = warp;
      ++next_unit;
      begin_unit();
    }
  };
  begin_unit();
#pragma unroll
  for (int d = 0; d < depth; ++d) copy_next(ring + d * slot_bytes);
  wait_for_inputs();  // the weights are not among them

  uint32_t slot = ring;
  for (int unit = first; unit < last; ++unit) {
    const uint16_t* x[n_tiles];
    const int used = units.tokens(unit, x);
#pragma unroll
    for (int n = 0; n < n_tiles; ++n) x[n] += warp * chunk_columns + lane % 4 * 8;
    StreamSums<n_panels, n_tiles>& unit_sums = shared[unit % buffers];
    dispatch_tiles<n_tiles>(used, [&]<int tiles>() {
      constexpr bool ahead = tiles <= 2;  // the inputs of the next chunk: L1 answers late, behind all the weights
      float sums[n_panels][tiles][4] = {};
      TokenChunk in[tiles], next[tiles];
      int offset = 0;
#pragma unroll
      for (int n = 0; n < tiles; ++n)
        if (ahead && warp < chunks) next[n].load(x[n]);
#pragma unroll 1
      for (int chunk = warp; chunk < chunks; chunk += classes) {
        if (chunk + classes < chunks || !ahead) offset += classes * chunk_columns;
#pragma unroll
        for (int n = 0; n < tiles; ++n) {
          if (ahead) in[n] = next[n];
          (ahead ? next : in)[n].load(x[n] + offset - (ahead ? 0 : classes * chunk_columns));
        }
        wait_for_copies<depth - 1>();
        Chunk<Coded> weights[n_panels];
#pragma unroll
        for (int p = 0; p < n_panels; ++p) weights[p].load(slot + p * copy_bytes, f);
        copy_next(slot);
        slot += slot_bytes;
        if (slot == ring_end) slot = ring;
#pragma unroll
        for (int m = 0; m < 4; ++m)
#pragma unroll
          for (int p = 0; p < n_panels; ++p) {
            uint32_t a[4];
            weights[p].weights(m, a);
#pragma unroll
            for (int n = 0; n < tiles; ++n) multiply(sums[p][n], a, in[n].reg(m, 0), in[n].reg(m, 1));
          }
      }
#pragma unroll
      for (int p = 0; p < n_panels; ++p)
#pragma unroll
        for (int n = 0; n < tiles; ++n) unit_sums.put(p, n, sums[p][n]);
    });
    __syncthreads();
    units.finish(unit, unit_sums);
    if (buffers == 1) __syncthreads();  // with two, that of the next unit will do
  }
  wait_for_copies<0>();
}

}  // namespace chorus::cuda
