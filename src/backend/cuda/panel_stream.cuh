// Products of few tokens (panel_product.cuh): a thread block takes units, one after the other, each of some panels for
// one tile of up to 8 * n_tiles tokens. Every warp copies the chunks of its class to a ring of its own in shared
// memory, ahead of the arithmetic across the borders of units.
#pragma once

#include "backend/cuda/panel_product.cuh"

namespace chorus::cuda {

constexpr int stream_threads = classes * 32;
/// Blocks that a multiprocessor holds: what the registers allow.
constexpr int stream_blocks(int n_tiles) {
  return n_tiles == 1 ? 6 : n_tiles == 2 ? 5 : 4;
}

/// The classes' sums side by side, to be added in order.
template <int n_panels, int n_tiles>
struct StreamSums {
  float values[classes][n_panels][n_tiles * 8][panel_rows + 1];  // one more: banks

  __device__ void put(int panel, int n, const float (&sums)[4]) {
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      values[warp][panel][n * 8 + lane % 4 * 2 + i % 2][lane / 4 + i / 2 * 8] = sums[i];
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
///   int tokens(int unit, const uint16_t* (&x)[n_tiles])            inputs of token lane / 4 of every tile; -> tiles used
///   void finish(int unit, const StreamSums<n_panels, n_tiles>&)    by all threads
template <PanelKind kind, int n_panels, int n_tiles, typename Units>
__device__ __forceinline__ void stream_panels(const PanelFormat& f, int first, int last, Units& units) {
  constexpr int most_bytes = ChunkForm<kind>::most_bytes, slot_bytes = n_panels * most_bytes;
  constexpr int depth = slot_bytes * 4 <= 4608 ? 4 : 2;
  constexpr int buffers = n_tiles <= 2 ? 2 : 1;  // the sums of the unit before may still be read
  __shared__ StreamSums<n_panels, n_tiles> shared[buffers];
  __shared__ __align__(16) std::byte rings[classes][depth][slot_bytes];
  if (first >= last) return;
  const ChunkForm<kind> form(f);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, chunks = int(f.chunks());
  const uint32_t ring = shared_address(rings[warp]), ring_end = ring + depth * slot_bytes;

  const std::byte* from[n_panels];
  int next_unit = first, next_chunk = warp;  // of class `warp`
  const auto begin_unit = [&] {
    units.panels(next_unit, from);
#pragma unroll
    for (int p = 0; p < n_panels; ++p) from[p] += warp * form.bytes + form.codes_at;
  };
  const auto copy_next = [&](uint32_t slot) {
    if (next_unit < last && warp < chunks) {
#pragma unroll
      for (int p = 0; p < n_panels; ++p) {
        form.copy(slot + p * most_bytes, from[p]);
        from[p] += classes * form.bytes;
      }
    }
    commit_copies();  // empty ones too: the count of groups says which slot has come
    next_chunk += classes;
    if (next_chunk >= chunks) {
      next_chunk = warp;
      if (++next_unit < last) begin_unit();
    }
  };
  begin_unit();
#pragma unroll
  for (int d = 0; d < depth; ++d) copy_next(ring + d * slot_bytes);

  uint32_t slot = ring;
  for (int unit = first; unit < last; ++unit) {
    const uint16_t* x[n_tiles];
    const int used = units.tokens(unit, x);
#pragma unroll
    for (int n = 0; n < n_tiles; ++n) x[n] += warp * chunk_columns + lane % 4 * 8;
    StreamSums<n_panels, n_tiles>& unit_sums = shared[unit % buffers];
    dispatch_tiles<n_tiles>(used, [&]<int tiles>() {
      float sums[n_panels][tiles][4] = {};
#pragma unroll 1
      for (int chunk = warp; chunk < chunks; chunk += classes) {
        TokenChunk in[tiles];
#pragma unroll
        for (int n = 0; n < tiles; ++n) {
          in[n].load(x[n]);
          x[n] += classes * chunk_columns;
        }
        wait_for_copies<depth - 1>();
        __syncwarp();
        Chunk<kind> weights[n_panels];
#pragma unroll
        for (int p = 0; p < n_panels; ++p) weights[p].load(slot + p * most_bytes, form);
        __syncwarp();
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
            for (int n = 0; n < tiles; ++n) mma(sums[p][n], a, in[n].reg(m, 0), in[n].reg(m, 1));
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
}

}  // namespace chorus::cuda
