// Panels times tokens on the tensor cores: what the dense and the expert kernels share.
//
// A thread block of four warps computes one panel (16 outputs) for 8 * n_tiles tokens. Warp w takes chunks w, w +
// 4,
// ... of the inputs, whatever the number of tokens, and the four sums are added in the order of the warps: a
// token's result depends neither on its place in a tile, nor on the size of the tile, nor on the other tokens.
#pragma once

#include "backend/cuda/device.cuh"

namespace chorus::cuda {

constexpr int product_warps = 4, product_threads = product_warps * 32;

__device__ inline void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// The A registers of the chunk's four mma for this lane. Registers 0 and 2 belong to row lane / 4, 1 and 3 to the
/// row eight below.
template <PanelKind kind>
__device__ inline void load_chunk(const std::byte* panel, const PanelFormat& f, int64_t chunk, int lane,
                                  uint32_t (&a)[4][4]) {
  const uint4* pieces = reinterpret_cast<const uint4*>(panel + chunk * f.chunk_bytes()) + lane;
  if constexpr (kind == PanelKind::bf16) {
    for (int s = 0; s < 4; ++s) {
      const uint4 v = pieces[s * 32];
      a[s][0] = v.x, a[s][1] = v.y, a[s][2] = v.z, a[s][3] = v.w;
    }
  } else if constexpr (kind == PanelKind::f32) {
    for (int s = 0; s < 4; ++s)
      for (int half = 0; half < 2; ++half) {
        const uint4 v = pieces[(s * 2 + half) * 32];
        a[s][half * 2] = bf16_pair(__uint_as_float(v.x), __uint_as_float(v.y));
        a[s][half * 2 + 1] = bf16_pair(__uint_as_float(v.z), __uint_as_float(v.w));
      }
  } else {
    const int64_t group = (chunk * chunk_columns + lane % 4 * 16) / f.group_size;
    const Scale scales[2] = {scale_of<kind>(panel, f, lane / 4, group),
                             scale_of<kind>(panel, f, lane / 4 + 8, group)};
    uint32_t words[kind == PanelKind::affine8 ? 8 : 4];
    for (int p = 0; p < (kind == PanelKind::affine8 ? 2 : 1); ++p) {
      const uint4 v = pieces[p * 32];
      words[p * 4] = v.x, words[p * 4 + 1] = v.y, words[p * 4 + 2] = v.z, words[p * 4 + 3] = v.w;
    }
    for (int s = 0; s < 4; ++s)
      for (int r = 0; r < 4; ++r) {
        const Scale w = scales[r % 2];
        float pair[2];
        for (int i = 0; i < 2; ++i) {
          const int e = r * 2 + i;
          if constexpr (kind == PanelKind::affine8)
            pair[i] = float(words[s * 2 + e / 4] >> (e % 4 * 8) & 255) * w.scale + w.bias;
          else if constexpr (kind == PanelKind::affine4)
            pair[i] = float(words[s] >> (e * 4) & 15) * w.scale + w.bias;
          else
            pair[i] = e2m1_value(words[s] >> (e * 4) & 15, w.scale);
        }
        a[s][r] = bf16_pair(pair[0], pair[1]);
      }
  }
}

/// Sums of the panel for tokens 8 * tile + lane / 4 of every tile; x[tile] points to that token's inputs.
template <PanelKind kind, int n_tiles>
__device__ inline void multiply_panel(const std::byte* panel, const PanelFormat& f,
                                      const uint16_t* const (&x)[n_tiles], float (&sums)[n_tiles][4]) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll
  for (int n = 0; n < n_tiles; ++n)
    for (int i = 0; i < 4; ++i) sums[n][i] = 0;
  for (int64_t chunk = warp; chunk < f.chunks(); chunk += product_warps) {
    uint32_t a[4][4];
    load_chunk<kind>(panel, f, chunk, lane, a);
#pragma unroll
    for (int n = 0; n < n_tiles; ++n) {
      const uint4* in = reinterpret_cast<const uint4*>(x[n] + chunk * chunk_columns + lane % 4 * 16);
      const uint4 low = in[0], high = in[1];
      mma(sums[n], a[0], low.x, low.y);
      mma(sums[n], a[1], low.z, low.w);
      mma(sums[n], a[2], high.x, high.y);
      mma(sums[n], a[3], high.z, high.w);
    }
  }
}

/// The warps' sums side by side, to be added in order.
template <int n_tiles>
struct SharedSums {
  float values[product_warps][n_tiles * 8][panel_rows + 1];  // one more: banks

  __device__ void put(const float (&sums)[n_tiles][4]) {
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
    for (int n = 0; n < n_tiles; ++n)
      for (int i = 0; i < 4; ++i) values[warp][n * 8 + lane % 4 * 2 + i % 2][lane / 4 + i / 2 * 8] = sums[n][i];
  }
  __device__ float total(int token, int row) const {
    float sum = values[0][token][row];
    for (int w = 1; w < product_warps; ++w) sum += values[w][token][row];
    return sum;
  }
};

}  // namespace chorus::cuda
