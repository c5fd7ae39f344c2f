// Products whose inputs are not rounded, all in f32: the router's, whose outputs are compared with one another. They are
// short, so that what counts is how soon they are over: a thread block takes one panel for one token, or for eight when
// there are many; its warps take chunks w, w + 8, ... and their sums are added in the order of the warps.
#include "backend/cuda/device.cuh"

namespace chorus::cuda {
namespace {

constexpr int exact_warps = 8;

/// This lane's weights in a chunk: of rows lane / 4 and 8 more, columns 32 * h + 8 * (lane % 4) + j at [row][8 * h + j].
template <PanelKind kind>
__device__ __forceinline__ void decode_chunk(const std::byte* chunk, const PanelFormat& f, float (&w)[2][16]) {
  constexpr int bits = PanelFormat{.kind = kind}.code_bits(), pieces = bits / 4;
  const int lane = int(threadIdx.x) % 32;
  uint32_t words[pieces * 4];
#pragma unroll
  for (int p = 0; p < pieces; ++p) {
    const uint4 v = __ldg(reinterpret_cast<const uint4*>(chunk + p * 512 + lane * 16));
    words[p * 4] = v.x, words[p * 4 + 1] = v.y, words[p * 4 + 2] = v.z, words[p * 4 + 3] = v.w;
  }
  const std::byte* const scales = chunk + pieces * 512 + lane / 4 * f.lane_scale_bytes();
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      Scale s = {1, 0};
      const int entry = (f.chunk_groups() == 2 ? half : 0) * 2 + row;
      if constexpr (kind == PanelKind::mxfp4)
        s.scale = bf16_value(uint32_t(scales[entry]) << 7);
      else if constexpr (kind == PanelKind::affine4 || kind == PanelKind::affine8)
        s = f.wide_scales ? Scale{reinterpret_cast<const float2*>(scales)[entry].x,
                                  reinterpret_cast<const float2*>(scales)[entry].y}
                          : scale_of(reinterpret_cast<const uint32_t*>(scales)[entry]);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const int m = half * 2 + j / 4, reg = j % 4 / 2 * 2 + row, i = j % 2, e = 8 * m + 2 * reg + i;
        float& value = w[row][half * 8 + j];
        if constexpr (kind == PanelKind::bf16) {
          value = bf16_value(words[e / 2] >> (16 * i) & 0xffff);
        } else if constexpr (kind == PanelKind::f32) {
          value = __uint_as_float(words[e]);
        } else if constexpr (kind == PanelKind::mxfp4) {
          const uint32_t code = gather_e2m1(reg, words[m] >> (16 * i) & 0xffff);
          value = bf16_value((code >> 3) << 15 | (code & 7) << 6) * s.scale;
        } else {
          const uint32_t code = kind == PanelKind::affine8 ? words[e / 4] >> (e % 4 * 8) & 255
                                                           : words[m] >> (16 * i + 4 * reg) & 15;
          value = float(code) * s.scale + s.bias;
        }
      }
    }
}

/// Inputs 32 * h + 8 * (lane % 4) + j of a chunk; past the last column 0.
__device__ __forceinline__ void load_inputs(const float* x, int64_t first, int64_t columns, float (&in)[16]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t c = first + half * 32;
    if (c + 8 <= columns && columns % 4 == 0) {
      const float4 low = *reinterpret_cast<const float4*>(x + c), high = *reinterpret_cast<const float4*>(x + c + 4);
      float* const to = in + half * 8;
      to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
      to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
    } else {
#pragma unroll
      for (int j = 0; j < 8; ++j) in[half * 8 + j] = c + j < columns ? x[c + j] : 0;
    }
  }
}

// Grid: groups of tokens x panels.
template <PanelKind kind, int group_tokens>
__global__ void __launch_bounds__(exact_warps * 32)
    exact_kernel(const std::byte* weights, PanelFormat f, const float* x, const float* bias, float* out,
                 int64_t tokens) {
  wait_for_inputs();
  __shared__ float partial[exact_warps][group_tokens][panel_rows];
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, chunks = int(f.chunks());
  const int64_t first = int64_t(blockIdx.x) * group_tokens;
  const std::byte* const panel = weights + blockIdx.y * f.panel_bytes();
  float sums[group_tokens][2] = {};
  for (int chunk = warp; chunk < chunks; chunk += exact_warps) {
    float w[2][16], in[16];
    decode_chunk<kind>(panel + chunk * f.chunk_bytes(), f, w);
#pragma unroll
    for (int t = 0; t < group_tokens; ++t) {
      load_inputs(x + min(first + t, tokens - 1) * f.columns, int64_t(chunk) * chunk_columns + lane % 4 * 8, f.columns,
                  in);
#pragma unroll
      for (int row = 0; row < 2; ++row)
#pragma unroll
        for (int j = 0; j < 16; ++j) sums[t][row] = fmaf(w[row][j], in[j], sums[t][row]);
    }
  }
#pragma unroll
  for (int t = 0; t < group_tokens; ++t)
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float sum = sums[t][row];
      sum += __shfl_xor_sync(all_lanes, sum, 1);
      sum += __shfl_xor_sync(all_lanes, sum, 2);
      if (lane % 4 == 0) partial[warp][t][lane / 4 + row * 8] = sum;
    }
  __syncthreads();
  for (int i = int(threadIdx.x); i < group_tokens * panel_rows; i += exact_warps * 32) {
    const int t = i / panel_rows, row = i % panel_rows;
    const int64_t token = first + t, o = int64_t(blockIdx.y) * panel_rows + row;
    if (token >= tokens || o >= f.rows) continue;
    float sum = partial[0][t][row];
    for (int w = 1; w < exact_warps; ++w) sum += partial[w][t][row];
    out[token * f.rows + o] = sum + (bias != nullptr ? bias[o] : 0);
  }
}

}  // namespace

void CudaBackend::run_exact(const MatMul& op) {
  const PanelFormat f = format_of(op.linear.weight);
  const int64_t tokens = op.x.size(0);
  const float* const bias = op.linear.bias.empty() ? nullptr : op.linear.bias.data<float>();
  dispatch_kind(f.kind, [&]<PanelKind kind>() {
    const auto grouped = [&]<int group_tokens>() {
      launch("exact_mat_mul", exact_kernel<kind, group_tokens>,
             {.x = (tokens + group_tokens - 1) / group_tokens,
              .y = f.panels(),
              .threads = exact_warps * 32,
              .overlap = true},
             static_cast<const std::byte*>(op.linear.weight.data.raw()), f, op.x.data<float>(), bias,
             op.out.data<float>(), tokens);
    };
    if (tokens <= 2 * processors_)
      grouped.template operator()<1>();
    else
      grouped.template operator()<8>();
  });
}

}  // namespace chorus::cuda
