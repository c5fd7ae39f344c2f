// The experts: (token, choice) pairs sorted by expert on the device, cut into tiles of one expert's pairs, and
// their inputs gathered in that order; gate, up and the activation in one kernel, down with its routing weight in
// the next, then every token's choices added in order and, in the same kernel, normed for the next layer. An
// expert's weights are read once per tile.
#include "backend/cuda/norm_row.cuh"
#include "backend/cuda/panel_product.cuh"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

constexpr int64_t max_experts = 4096;  // their counts lie in shared memory
constexpr int gather_threads = 512, rows_ahead = 4;

/// Tile i holds pairs order[first .. first + count) of one expert.
struct Tile {
  int32_t expert, first, count;
};
/// What gather_kernel makes.
struct Sorted {
  int32_t* order;  ///< [pairs] token * K + choice
  Tile* tiles;
  int32_t* tile_count;
  uint16_t* x;  ///< [pairs, padded columns] bf16: the inputs, in this order
};
/// Where the products find their tiles: sorted, or, of a single token, as its experts stand.
struct Tiles {
  Sorted sorted;
  const int32_t* of_one_token;  ///< [pairs], or null

  __device__ bool find(int index, Tile& tile) const {
    if (of_one_token == nullptr && index >= *sorted.tile_count) return false;
    tile = of_one_token != nullptr ? Tile{of_one_token[index], index, 1} : sorted.tiles[index];
    return true;
  }
  /// The pair of a tile's token.
  __device__ int64_t pair(const Tile& tile, int token) const {
    return of_one_token != nullptr ? tile.first : sorted.order[tile.first + token];
  }
};

struct GatherArgs {
  const int32_t* experts;
  int64_t pairs;
  int expert_count, tile_pairs;
  int segments;  ///< of the pairs, each a warp's
  const uint4* x;
  int row_vectors, choices;
  Sorted out;
};

/// Calls f(pair, its expert, the lanes that have the same) for the pairs of a warp's segment, 32 at a time.
template <typename F>
__device__ __forceinline__ void for_each_of_segment(const GatherArgs& a, F&& f) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  if (warp >= a.segments) return;
  const int64_t length = (a.pairs + a.segments * 32 - 1) / (a.segments * 32) * 32;
  const int64_t end = min(a.pairs, (warp + 1) * length);
  for (int64_t begin = warp * length; begin < end; begin += 32) {
    const int64_t i = begin + lane;
    const int expert = i < end ? a.experts[i] : -1;
    const unsigned same = __match_any_sync(all_lanes, expert);
    if (expert >= 0) f(i, expert, same);
    __syncwarp();
  }
}

// Every block sorts all pairs, which takes less than another launch would, and gathers the inputs of every
// gridDim.x'th. An expert's pairs keep their order, so all blocks come to the same.
__global__ void __launch_bounds__(gather_threads) gather_kernel(const __grid_constant__ GatherArgs a) {
  let_next_start();
  wait_for_inputs();
  const int thread = int(threadIdx.x), own = int((a.pairs - blockIdx.x + gridDim.x - 1) / gridDim.x);
  const auto row = [&](int j) { return a.x + (int64_t(j) * gridDim.x + blockIdx.x) / a.choices * a.row_vectors; };
  uint4 ahead[rows_ahead];  // the first rows, on their way while the pairs are sorted
#pragma unroll
  for (int j = 0; j < rows_ahead; ++j)
    if (j < own && thread < a.row_vectors) ahead[j] = row(j)[thread];
  extern __shared__ int32_t next[];  // [segment][expert] its pairs there; then where its next one goes
  int32_t* const positions = next + a.segments * a.expert_count;  // of this block's pairs
  const int warp = thread / 32, lane = int(threadIdx.x) % 32, experts = a.expert_count;
  for (int i = int(threadIdx.x); i < a.segments * experts; i += gather_threads) next[i] = 0;
  __syncthreads();
  for_each_of_segment(a, [&](int64_t, int expert, unsigned same) {
    if (same >> lane == 1) next[warp * experts + expert] += __popc(same);
  });
  __syncthreads();
  if (warp == 0) {
    int32_t pairs_before = 0, tiles_before = 0;
    for (int begin = 0; begin < experts; begin += 32) {
      const int e = begin + lane;
      int32_t count = 0;
      for (int s = 0; s < a.segments && e < experts; ++s) count += next[s * experts + e];
      const int32_t tiles = (count + a.tile_pairs - 1) / a.tile_pairs;
      int32_t pairs_to = count, tiles_to = tiles;  // with those of the lanes before
      for (int d = 1; d < 32; d *= 2) {
        const int32_t more_pairs = __shfl_up_sync(all_lanes, pairs_to, d);
        const int32_t more_tiles = __shfl_up_sync(all_lanes, tiles_to, d);
        if (lane >= d) pairs_to += more_pairs, tiles_to += more_tiles;
      }
      const int32_t first = pairs_before + pairs_to - count, first_tile = tiles_before + tiles_to - tiles;
      for (int32_t i = 0; i < tiles && blockIdx.x == 0; ++i)
        a.out.tiles[first_tile + i] = {e, first + i * a.tile_pairs,
                                       min(count - i * a.tile_pairs, int32_t(a.tile_pairs))};
      int32_t at = first;
      for (int s = 0; s < a.segments && e < experts; ++s) {
        const int32_t of_segment = next[s * experts + e];
        next[s * experts + e] = at;
        at += of_segment;
      }
      pairs_before += __shfl_sync(all_lanes, pairs_to, 31);
      tiles_before += __shfl_sync(all_lanes, tiles_to, 31);
    }
    if (lane == 0 && blockIdx.x == 0) *a.out.tile_count = tiles_before;
  }
  __syncthreads();
  for_each_of_segment(a, [&](int64_t i, int expert, unsigned same) {
    const int32_t first = next[warp * experts + expert], position = first + __popc(same & ((1u << lane) - 1));
    __syncwarp(same);
    if (same >> lane == 1) next[warp * experts + expert] = first + __popc(same);
    if (i % gridDim.x != blockIdx.x) return;
    a.out.order[position] = int32_t(i);
    positions[i / gridDim.x] = position;
  });
  __syncthreads();
  auto* const to = reinterpret_cast<uint4*>(a.out.x);
  const auto place_of = [&](int j) { return to + int64_t(positions[j]) * a.row_vectors; };
#pragma unroll
  for (int j = 0; j < rows_ahead; ++j)
    if (j < own && thread < a.row_vectors) place_of(j)[thread] = ahead[j];
  for (int j = 0; j < own; ++j)
    for (int v = thread + (j < rows_ahead ? gather_threads : 0); v < a.row_vectors; v += gather_threads)
      place_of(j)[v] = row(j)[v];
}

/// A stack of placed matrices with their biases [E, rows].
struct Weights {
  const std::byte* panels;
  const float* bias;
  PanelFormat format;

  __device__ const std::byte* panel(int64_t expert, int64_t index) const {
    return panels + (expert * format.panels() + index) * format.panel_bytes();
  }
  __device__ float bias_of(int64_t expert, int64_t row) const {
    return bias != nullptr ? bias[expert * format.rows + row] : 0;
  }
};

__device__ float swiglu(float gate, float up, float alpha, float limit) {
  const float g = gate > limit ? limit : gate, u = up > limit    ? limit
                                                   : up < -limit ? -limit
                                                                 : up;  // a NaN stays one
  constexpr float log2_e = 1.4426950408889634f;
  return __fdividef(g, 1 + exp2_of(-alpha * log2_e * g)) * (u + 1);  // both within 2^-21
}

/// act = swiglu(gate(x), up(x)), a panel of each together: act [pairs, act_padded] bf16, in the order of the sort.
/// Grid: units of panels x tiles.
struct GateUp {
  static constexpr bool early = false;
  static constexpr int matrices = 2;

  Weights gate, up;
  Tiles tiles;
  ClampedSwiglu activation;
  uint16_t* act;
  int64_t act_padded;
  Tile tile = {};

  __device__ const PanelFormat& format() const { return gate.format; }
  template <typename S>
  __device__ bool find(Unit<S::panels>& unit) {
    if (!tiles.find(int(blockIdx.y), tile)) return false;
    constexpr int pairs = S::panels / 2;
#pragma unroll
    for (int i = 0; i < pairs; ++i) {  // past the last: not put
      const int64_t panel = min(int64_t(blockIdx.x) * pairs + i, gate.format.panels() - 1);
      unit.panels[S::n_panels == 2 ? 2 * i : i] = gate.panel(tile.expert, panel);
      unit.panels[S::n_panels == 2 ? 2 * i + 1 : i + pairs] = up.panel(tile.expert, panel);
    }
    unit.first_row = tiles.of_one_token != nullptr ? 0 : tile.first;
    unit.tokens = tile.count;
    return true;
  }
  __device__ void put(int token, int panel, int row_in_panel, const float (&sums)[2]) const {
    const int64_t row = int64_t(panel) * panel_rows + row_in_panel;
    if (row >= gate.format.rows) return;
    const float value = swiglu(sums[0] + gate.bias_of(tile.expert, row), sums[1] + up.bias_of(tile.expert, row),
                               activation.alpha, activation.limit);
    act[(tile.first + token) * act_padded + row] = bf16_bits(value);
  }
};

/// parts = weight * down(act): parts [pairs, H], by pair. Grid: units of panels x tiles.
struct Down {
  static constexpr bool early = true;  // the tiles are there once GateUp has begun
  static constexpr int matrices = 1;

  Weights down;
  Tiles tiles;
  const float* weights;
  float* parts;
  Tile tile = {};

  __device__ const PanelFormat& format() const { return down.format; }
  template <typename S>
  __device__ bool find(Unit<S::panels>& unit) {
    if (!tiles.find(int(blockIdx.y), tile)) return false;
#pragma unroll
    for (int i = 0; i < S::panels; ++i)  // past the last: not put
      unit.panels[i] = down.panel(tile.expert, min(int64_t(blockIdx.x) * S::panels + i, down.format.panels() - 1));
    unit.first_row = tile.first;
    unit.tokens = tile.count;
    return true;
  }
  template <int n_panels>
  __device__ void put(int token, int panel, int row_in_panel, const float (&sums)[n_panels]) const {
    const int64_t pair = tiles.pair(tile, token);
#pragma unroll
    for (int p = 0; p < n_panels; ++p) {
      const int64_t row = (int64_t(panel) * n_panels + p) * panel_rows + row_in_panel;
      if (row < down.format.rows)
        parts[pair * down.format.rows + row] = (sums[p] + down.bias_of(tile.expert, row)) * weights[pair];
    }
  }
};

struct CombineArgs {
  const float *parts, *residual;
  int choices, columns;
  float* out;
  const float* next_norm;  ///< or null
  float eps;
  FloatOut next_normed;
};

__device__ inline float4 operator+(const float4& a, const float4& b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}

/// The residual and a token's choices in their order; what is loaded goes to `out`, too.
struct CombinedRow {
  const float *parts, *residual;
  int choices, columns;
  float* out;

  __device__ void combine(int h) const {
    float sum = 0;
    for (int j = 0; j < choices; ++j) sum += parts[int64_t(j) * columns + h];
    out[h] = residual != nullptr ? residual[h] + sum : sum;
  }
  __device__ void load(int hidden, float4 (&quads)[norm_quads]) const {  // quads: zeros
    const auto at = [](const float* x) { return *reinterpret_cast<const float4*>(x); };
    for (int j = 0; j < choices; ++j)
      for_each_quad_of_row(hidden,
                           [&](int i, int h) { quads[i] = quads[i] + at(parts + int64_t(j) * columns + h); });
    if (residual != nullptr)
      for_each_quad_of_row(hidden, [&](int i, int h) { quads[i] = at(residual + h) + quads[i]; });
    for_each_quad_of_row(hidden, [&](int i, int h) { *reinterpret_cast<float4*>(out + h) = quads[i]; });
  }
};

// A block per token.
template <bool in_registers>
__global__ void __launch_bounds__(norm_threads) combine_kernel(const __grid_constant__ CombineArgs a) {
  let_next_start();
  __shared__ float warp_sums[norm_threads / 32];
  const int64_t first = int64_t(blockIdx.x) * a.columns;
  const CombinedRow row{.parts = a.parts + first * a.choices,
                        .residual = a.residual != nullptr ? a.residual + first : nullptr,
                        .choices = a.choices,
                        .columns = a.columns,
                        .out = a.out + first};
  const auto put = [&](int h, const auto& v) { a.next_normed.put(first + h, v); };
  if constexpr (in_registers) {
    if (a.next_norm != nullptr) return norm_row<true>(row, a.next_norm, a.eps, a.columns, 1, warp_sums, put);
    wait_for_inputs();
    float4 quads[norm_quads] = {};
    row.load(a.columns, quads);
  } else {
    wait_for_inputs();
    for (int h = int(threadIdx.x); h < a.columns; h += norm_threads) row.combine(h);
    // A thread finds in `out` what it has put there itself.
    if (a.next_norm != nullptr) norm_row<false>(RowAt{row.out}, a.next_norm, a.eps, a.columns, 1, warp_sums, put);
  }
}

Weights weights_of(const ExpertLinear& experts) {
  return {.panels = static_cast<const std::byte*>(experts.weight.data.raw()),
          .bias = experts.bias.empty() ? nullptr : experts.bias.data<float>(),
          .format = format_of(experts.weight)};
}

}  // namespace

void CudaBackend::run(const ExpertMlp& op) {
  const Weights gate = weights_of(op.gate), up = weights_of(op.up), down = weights_of(op.down);
  const int64_t tokens = op.x.size(0), choices = op.experts.size(1), experts = op.gate.experts();
  const int64_t pairs = tokens * choices, act_padded = down.format.padded_columns();
  if (experts > max_experts)
    throw Error(Fault::model, "too many experts for this backend")
        .with("expected at most", max_experts)
        .with("actual", experts);
  if (gate.format.kind != up.format.kind || gate.format.group_size != up.format.group_size ||
      gate.format.wide_scales != up.format.wide_scales)
    throw Error(Fault::internal, "gate and up of the experts were not placed together, by place_gate_up()");
  const Arena::Scope scope(workspace());
  const uint16_t* const x = round_inputs(op.x, gate.format);
  const int64_t most_tiles = pairs / 8 + std::min(experts, pairs);  // of 8 pairs; larger tiles are fewer
  auto* const act = workspace().array<uint16_t>(pairs * act_padded);
  // The products of down go where the gathered inputs were.
  const int64_t x_padded = gate.format.padded_columns();
  void* const shared = workspace().take(size_t(pairs) * size_t(std::max(x_padded * 2, down.format.rows * 4)));
  const Sorted sorted{.order = workspace().array<int32_t>(pairs),
                      .tiles = workspace().array<Tile>(most_tiles),
                      .tile_count = workspace().array<int32_t>(1),
                      .x = static_cast<uint16_t*>(shared)};
  auto* const parts = static_cast<float*>(shared);
  if (workspace().measuring() || pairs == 0) return;

  const Tiles tiles{sorted, tokens == 1 ? op.experts.data<int32_t>() : nullptr};
  const Rows16 inputs = tokens == 1 ? Rows16{x, 1, x_padded} : Rows16{sorted.x, pairs, x_padded};
  const GateUp gate_up{gate, up, tiles, op.activation, act, act_padded};
  const Down down_product{down, tiles, op.weights.data<float>(), parts};
  const auto gather = [&](int tile_pairs) {
    if (tokens == 1) return pairs;  // nothing to sort
    const GatherArgs args{
        .experts = op.experts.data<int32_t>(),
        .pairs = pairs,
        .expert_count = int(experts),
        .tile_pairs = tile_pairs,
        .segments = int(std::max<int64_t>(
            std::min({2 * max_experts / experts, (pairs + 31) / 32, int64_t(gather_threads / 32)}), 1)),
        .x = reinterpret_cast<const uint4*>(x),
        .row_vectors = int(x_padded / 8),
        .choices = int(choices),
        .out = sorted};
    const int64_t blocks = std::min<int64_t>(pairs, processors_);
    launch("expert_gather", gather_kernel,
           {.x = blocks,
            .threads = gather_threads,
            .shared_bytes = size_t(args.segments * experts + (pairs + blocks - 1) / blocks) * sizeof(int32_t),
            .overlap = true},
           args);
    return pairs / tile_pairs + std::min(experts, pairs);  // tiles, at most
  };
  // Columns past the matrix meet zero weights; they must only not be NaNs.
  if (act_padded != down.format.columns)
    check(cudaMemsetAsync(act, 0, size_t(pairs * act_padded) * 2, stream_), "cudaMemsetAsync");
  const auto multiply = [&]<int n_tokens, int gate_up_panels, int down_panels, int groups>() {
    constexpr bool few = n_tokens == 8 && groups == 1;
    const int64_t most = gather(n_tokens);  // tiles
    dispatch_coded(gate.format, [&]<typename Coded>() {
      using S = Shape<Coded, gate_up_panels, n_tokens, groups>;
      launch_product<S, std::conditional_t<few, S, void>>("expert_gate_up", gate.format.panels(), most, inputs,
                                                          gate_up);
    });
    dispatch_coded(down.format, [&]<typename Coded>() {
      using S = Shape<Coded, down_panels, n_tokens, groups>;
      launch_product<S, std::conditional_t<few, S, void>>("expert_down",
                                                          (down.format.panels() + down_panels - 1) / down_panels,
                                                          most, {act, pairs, act_padded}, down_product);
    });
  };
  // Tiles that few experts need two of; by measurement (docs/performance-cuda.md).
  const int64_t average = (pairs + experts - 1) / experts;
  if (pairs <= 16)
    multiply.template operator()<8, 2, 1, 1>();
  else if (average <= 4)
    multiply.template operator()<8, 2, 2, 2>();
  else if (average <= 10)
    multiply.template operator()<16, 2, 2, 1>();
  else if (average <= 18)
    multiply.template operator()<24, 2, 2, 1>();
  else if (average <= 34)
    multiply.template operator()<40, 1, 1, 2>();
  else
    multiply.template operator()<64, 1, 1, 2>();
  launch("expert_combine", norm_in_registers(op.x.size(1)) ? combine_kernel<true> : combine_kernel<false>,
         {.x = tokens, .threads = norm_threads, .overlap = true},
         CombineArgs{.parts = parts,
                     .residual = op.residual.empty() ? nullptr : op.residual.data<float>(),
                     .choices = int(choices),
                     .columns = int(op.x.size(1)),
                     .out = op.out.data<float>(),
                     .next_norm = op.next_norm.empty() ? nullptr : op.next_norm.data<float>(),
                     .eps = op.eps,
                     .next_normed = FloatOut(op.next_normed)});
}

}  // namespace chorus::cuda
