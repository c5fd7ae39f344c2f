// The norm before the experts, the router's product and the choice of experts in one kernel. All of it in f32,
// since logits are compared with one another. What counts is how soon it is over: a few tokens have a block, or a
// cluster of blocks that share the product.
#include <cooperative_groups.h>

#include <type_traits>

#include "backend/cuda/norm_row.cuh"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

/// This lane's weights in a chunk of `fragment`, 16 rows of a panel: of rows lane / 4 and 8 more, columns
/// 16 * m + 8 * h + 2 * (lane % 4) + i at [row][4 * m + 2 * h + i].
template <PanelKind kind>
__device__ __forceinline__ void decode_chunk(const std::byte* chunk, int fragment, const PanelFormat& f,
                                             float (&w)[2][16]) {
  constexpr int bits = PanelFormat{.kind = kind}.code_bits(), pieces = bits / 4;
  const int lane = int(threadIdx.x) % 32;
  uint32_t words[pieces * 4];
#pragma unroll
  for (int p = 0; p < pieces; ++p) {
    const uint4 v = __ldg(reinterpret_cast<const uint4*>(chunk + (fragment * pieces + p) * 512 + lane * 16));
    words[p * 4] = v.x, words[p * 4 + 1] = v.y, words[p * 4 + 2] = v.z, words[p * 4 + 3] = v.w;
  }
  const std::byte* const scales = chunk + f.code_bytes() + (fragment * 8 + lane / 4) * f.lane_scale_bytes();
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
                          : scale_of<kind>(reinterpret_cast<const uint32_t*>(scales)[entry]);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const int m = half * 2 + j / 4, reg = j % 4 / 2 * 2 + row, i = j % 2, e = 8 * m + 2 * reg + i;
        float& value = w[row][half * 8 + j];
        if constexpr (kind == PanelKind::bf16) {
          value = bf16_value(words[e / 2] >> (16 * i) & 0xffff);
        } else if constexpr (kind == PanelKind::f32) {
          value = __uint_as_float(words[e]);
        } else if constexpr (kind == PanelKind::mxfp4) {
          const uint32_t code = gather_e2m1(reg, i, words[m]);
          value = bf16_value((code >> 3) << 15 | (code & 7) << 6) * s.scale;
        } else {
          const uint32_t code =
              kind == PanelKind::affine8 ? words[e / 4] >> (e % 4 * 8) & 255 : words[m] >> (16 * i + 4 * reg) & 15;
          value = float(code) * s.scale + s.bias;
        }
      }
    }
}

struct RoutingArgs {
  const float *x, *norm;
  float eps;
  int64_t tokens;
  const std::byte* router;
  PanelFormat f;
  const float* bias;
  FloatOut normed;
  int32_t* experts;
  float* weights;
  int chosen;
};

/// Of 16 experts each: the panel may be filled by half.
__host__ __device__ int fragments(const PanelFormat& f) {
  return int((f.rows + fragment_rows - 1) / fragment_rows);
}

/// What a block keeps in shared memory; `base` may be null, to know how much that is.
struct Shared {
  __host__ __device__ Shared(float* base, const PanelFormat& f, int group_tokens)
      : columns(int(f.padded_columns())),
        experts(fragments(f) * fragment_rows),
        chunk_stride(int(f.chunks()) | 1),
        inputs(base),
        parts(inputs + group_tokens * columns),
        logits(parts + group_tokens * experts * chunk_stride),
        warp_sums(logits + group_tokens * experts),
        floats(group_tokens * (columns + experts * (chunk_stride + 1) + norm_threads / 32)) {}

  int columns, experts, chunk_stride;
  float* inputs;     // [token][column], normed
  float* parts;      // [token][expert][chunk], the products of the chunks
  float* logits;     // [token][expert]
  float* warp_sums;  // [token][8]
  int floats;
};

/// True if expert a with logit x comes before expert b with logit y.
__device__ bool before(float x, int a, float y, int b) {
  return x > y || (x == y && a < b);
}

/// A number in the order of floats, of which -0 and 0 are one; and back.
__device__ uint32_t ordered(float v) {
  const uint32_t bits = __float_as_uint(v + 0.f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}
__device__ float from_ordered(uint32_t order) {
  return __uint_as_float(order >> 31 != 0 ? order & 0x7fffffffu : ~order);
}

// A warp takes the best that comes after the one before, K times: no list, any number of experts.
__device__ void choose(const float* logits, int count, int chosen, int32_t* experts, float* weights) {
  const int lane = int(threadIdx.x) % 32;
  float last = INFINITY, largest = 0, sum = 0;
  int last_expert = -1;
  for (int k = 0; k < chosen; ++k) {
    float best = -INFINITY;
    int expert = count;  // none yet: after every expert of the same logit
    for (int e = lane; e < count; e += 32) {
      const float logit = isnan(logits[e]) ? -INFINITY : logits[e];
      if (before(last, last_expert, logit, e) && before(logit, e, best, expert)) best = logit, expert = e;
    }
    const uint32_t top = __reduce_max_sync(all_lanes, ordered(best));
    last_expert = __reduce_min_sync(all_lanes, ordered(best) == top ? expert : count);
    last = from_ordered(top);
    if (k == 0) largest = last;
    const float weight = expf(last - largest);
    sum += weight;
    if (lane == 0) experts[k] = last_expert, weights[k] = weight;
  }
  if (lane == 0)
    for (int k = 0; k < chosen; ++k) weights[k] /= sum;
}

/// A block of norm_threads threads for each of `group_tokens`; block `part` of `parts` does every parts'th
/// item of the product, and the first has the results.
template <PanelKind kind, int group_tokens, int parts, bool in_registers>
__device__ __forceinline__ void route(const RoutingArgs& a, int part) {
  constexpr int threads = group_tokens * norm_threads, warps = threads / 32;
  namespace cg = cooperative_groups;
  let_next_start();
  if constexpr (parts > 1)
    cg::this_cluster().barrier_arrive();  // waited for before the first block's memory is used
  extern __shared__ __align__(16) float memory[];
  const Shared shared(memory, a.f, group_tokens);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, hidden = int(a.f.columns);
  const int chunks = int(a.f.chunks()), items = fragments(a.f) * chunks;
  const int64_t first = int64_t(blockIdx.x) * group_tokens;
  const int here = int(min(int64_t(group_tokens), a.tokens - first));
  // The weights are on their way while the kernel before this one ends.
  if (blockIdx.x == 0 && part == 0)
    for (int64_t i = int64_t(threadIdx.x) * 128; i < a.f.panels() * a.f.panel_bytes(); i += threads * 128)
      asm volatile("prefetch.global.L2 [%0];" ::"l"(a.router + i));

  if (const int t = warp / (norm_threads / 32); t < here) {
    float* const inputs = shared.inputs + t * shared.columns;
    norm_row<in_registers>(RowAt{a.x + (first + t) * hidden}, a.norm, a.eps, hidden, t + 1,
                           shared.warp_sums + t * (norm_threads / 32), [&](int h, const auto& v) {
                             *reinterpret_cast<std::decay_t<decltype(v)>*>(inputs + h) = v;
                             if (part == 0) a.normed.put((first + t) * hidden + h, v);
                           });
    for (int h = hidden + int(threadIdx.x) % norm_threads; h < shared.columns; h += norm_threads) inputs[h] = 0;
  } else {
    wait_for_inputs();
  }
  __syncthreads();

  float* of_first = shared.parts;  // where the products of the chunks go
  if constexpr (parts > 1) {
    cg::this_cluster().barrier_wait();
    of_first = cg::this_cluster().map_shared_rank(shared.parts, 0u);
  }
  for (int item = part + warp * parts; item < items; item += warps * parts) {
    const int fragment = item / chunks, chunk = item % chunks;
    float w[2][16];
    decode_chunk<kind>(a.router + fragment / 4 * a.f.panel_bytes() + chunk * a.f.chunk_bytes(), fragment % 4, a.f,
                       w);
#pragma unroll
    for (int t = 0; t < group_tokens; ++t) {
      const float* const inputs = shared.inputs + t * shared.columns + chunk * chunk_columns + lane % 4 * 2;
      float sums[2] = {};
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        const float2 low = *reinterpret_cast<const float2*>(inputs + q * 16);
        const float2 high = *reinterpret_cast<const float2*>(inputs + q * 16 + 8);
#pragma unroll
        for (int row = 0; row < 2; ++row) {
          sums[row] = fmaf(w[row][q * 4], low.x, sums[row]);
          sums[row] = fmaf(w[row][q * 4 + 1], low.y, sums[row]);
          sums[row] = fmaf(w[row][q * 4 + 2], high.x, sums[row]);
          sums[row] = fmaf(w[row][q * 4 + 3], high.y, sums[row]);
        }
      }
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        sums[row] += __shfl_xor_sync(all_lanes, sums[row], 1);
        sums[row] += __shfl_xor_sync(all_lanes, sums[row], 2);
        const int expert = fragment * fragment_rows + row * 8 + lane / 4;
        if (lane % 4 == 0) of_first[(t * shared.experts + expert) * shared.chunk_stride + chunk] = sums[row];
      }
    }
  }
  if constexpr (parts > 1) {
    cg::this_cluster().sync();
    if (part != 0) return;
  } else {
    __syncthreads();
  }

  const int experts = int(a.f.rows);
  for (int i = warp; i < here * experts; i += warps) {
    const int t = i / experts, e = i % experts;
    const float* const of_chunks = shared.parts + (t * shared.experts + e) * shared.chunk_stride;
    float sum = 0;
    for (int c = lane; c < chunks; c += 32) sum += of_chunks[c];
    sum = warp_sum(sum);
    if (lane == 0) shared.logits[t * shared.experts + e] = sum + (a.bias != nullptr ? a.bias[e] : 0);
  }
  __syncthreads();
  if (warp < here)
    choose(shared.logits + warp * shared.experts, experts, a.chosen, a.experts + (first + warp) * a.chosen,
           a.weights + (first + warp) * a.chosen);
}

template <PanelKind kind, int group_tokens, int parts, bool in_registers>
__global__ void __cluster_dims__(1, parts) __launch_bounds__(group_tokens* norm_threads)
    routing_kernel(const __grid_constant__ RoutingArgs a) {
  route<kind, group_tokens, parts, in_registers>(a, int(blockIdx.y));
}

}  // namespace

void CudaBackend::run(const Routing& op) {
  const PanelFormat f = format_of(op.router.weight);
  const auto bytes = [&](int group_tokens) {
    return size_t(Shared(nullptr, f, group_tokens).floats) * sizeof(float);
  };
  constexpr size_t most_bytes = 220 << 10;
  if (bytes(1) > most_bytes)
    throw Error(Fault::model, "the router is too large for this backend")
        .with("experts", f.rows)
        .with("hidden", f.columns);
  if (workspace().measuring()) return;
  const int64_t tokens = op.x.size(0);
  const RoutingArgs args{.x = op.x.data<float>(),
                         .norm = op.norm.data<float>(),
                         .eps = op.eps,
                         .tokens = tokens,
                         .router = static_cast<const std::byte*>(op.router.weight.data.raw()),
                         .f = f,
                         .bias = op.router.bias.empty() ? nullptr : op.router.bias.data<float>(),
                         .normed = FloatOut(op.normed),
                         .experts = op.experts.data<int32_t>(),
                         .weights = op.weights.data<float>(),
                         .chosen = int(op.experts.size(1))};
  const bool in_registers = norm_in_registers(f.columns);
  dispatch_kind(f.kind, [&]<PanelKind kind>() {
    const auto groups_of = [&]<int group_tokens, int parts>() {
      launch("routing",
             in_registers ? routing_kernel<kind, group_tokens, parts, true>
                          : routing_kernel<kind, group_tokens, parts, false>,
             {.x = (tokens + group_tokens - 1) / group_tokens,
              .y = parts,
              .threads = group_tokens * norm_threads,
              .shared_bytes = bytes(group_tokens),
              .overlap = true},
             args);
    };
    // By measurement: what counts for few tokens is how soon it is over, for many that they share decoded weights.
    const auto fits = [&](int group_tokens) { return bytes(group_tokens) <= most_bytes; };
    if (tokens <= processors_ && fits(2))
      groups_of.template operator()<2, 4>();
    else if (tokens <= 2 * processors_ && fits(2))
      groups_of.template operator()<2, 2>();
    else if (fits(4))
      groups_of.template operator()<4, 1>();
    else
      groups_of.template operator()<1, 4>();
  });
}

}  // namespace chorus::cuda
