// The experts: (token, choice) pairs sorted by expert on the device, cut into tiles of one expert's pairs; gate,
// up and the activation in one kernel, down with its routing weight in the next, then every token's choices added
// in order. An expert's weights are read once per tile of up to 64 pairs.
#include "backend/cuda/panel_product.cuh"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

constexpr int64_t max_experts = 4096;  // their counts lie in shared memory

/// Tile i holds pairs order[first .. first + count) of one expert.
struct Tile {
  int32_t expert, first, count;
};
struct Sorted {
  int32_t* order;  ///< [pairs] token * K + choice
  Tile* tiles;
  int32_t* tile_count;
};

// One thread block. The order inside an expert is whatever the atomics make it: no result depends on it.
__global__ void sort_kernel(const int32_t* experts, int64_t pairs, int expert_count, int tile_pairs, Sorted out) {
  let_next_start();
  wait_for_inputs();
  extern __shared__ int32_t counts[];  // pairs of every expert; then where its next one goes
  int32_t* const next = counts + expert_count;
  for (int e = int(threadIdx.x); e < expert_count; e += int(blockDim.x)) counts[e] = 0;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < pairs; i += blockDim.x) atomicAdd(&counts[experts[i]], 1);
  __syncthreads();
  if (const int lane = int(threadIdx.x); lane < 32) {
    int32_t pairs_before = 0, tiles_before = 0;
    for (int begin = 0; begin < expert_count; begin += 32) {
      const int e = begin + lane;
      const int32_t count = e < expert_count ? counts[e] : 0, tiles = (count + tile_pairs - 1) / tile_pairs;
      int32_t pairs_to = count, tiles_to = tiles;  // with those of the lanes before
      for (int d = 1; d < 32; d *= 2) {
        const int32_t more_pairs = __shfl_up_sync(all_lanes, pairs_to, d);
        const int32_t more_tiles = __shfl_up_sync(all_lanes, tiles_to, d);
        if (lane >= d) pairs_to += more_pairs, tiles_to += more_tiles;
      }
      const int32_t first = pairs_before + pairs_to - count, first_tile = tiles_before + tiles_to - tiles;
      if (e < expert_count) next[e] = first;
      for (int32_t i = 0; i < tiles; ++i)
        out.tiles[first_tile + i] = {e, first + i * tile_pairs, min(count - i * tile_pairs, int32_t(tile_pairs))};
      pairs_before += __shfl_sync(all_lanes, pairs_to, 31);
      tiles_before += __shfl_sync(all_lanes, tiles_to, 31);
    }
    if (lane == 0) *out.tile_count = tiles_before;
  }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < pairs; i += blockDim.x)
    out.order[atomicAdd(&next[experts[i]], 1)] = int32_t(i);
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
  return g / (1 + expf(-alpha * g)) * (u + 1);
}

/// act = swiglu(gate(x), up(x)); a unit is a panel of each: x [tokens, padded columns] bf16; act [pairs,
/// act_padded] bf16, in the order of the sort. Grid: units of panels x tiles.
struct GateUp {
  static constexpr bool early = false;

  Weights gate, up;
  const uint16_t* x;
  int choices;
  Sorted sorted;
  ClampedSwiglu activation;
  uint16_t* act;
  int64_t act_padded;
  Tile tile = {};

  __device__ const PanelFormat& format() const { return gate.format; }
  template <typename S>
  __device__ bool find(Unit<S>& unit) {
    if (int(blockIdx.y) >= *sorted.tile_count) return false;
    tile = sorted.tiles[blockIdx.y];
#pragma unroll
    for (int g = 0; g < S::groups; ++g) {  // past the last: not put
      const int64_t panel = min(int64_t(blockIdx.x) * S::groups + g, gate.format.panels() - 1);
      unit.panels[2 * g] = gate.panel(tile.expert, panel);
      unit.panels[2 * g + 1] = up.panel(tile.expert, panel);
    }
    unit.tokens = tile.count;
    return true;
  }
  template <typename S>
  __device__ ListedRows<S::passes> rows(int token, int count) const {
    ListedRows<S::passes> list;
#pragma unroll
    for (int i = 0; i < S::passes; ++i) {
      const int64_t of = i < count ? sorted.order[tile.first + token + S::pass_tokens * i] / choices : 0;
      list.rows[i] = x + of * gate.format.padded_columns();
    }
    return list;
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
  static constexpr bool early = false;

  Weights down;
  const uint16_t* act;
  Sorted sorted;
  const float* weights;
  float* parts;
  Tile tile = {};

  __device__ const PanelFormat& format() const { return down.format; }
  template <typename S>
  __device__ bool find(Unit<S>& unit) {
    if (int(blockIdx.y) >= *sorted.tile_count) return false;
    tile = sorted.tiles[blockIdx.y];
#pragma unroll
    for (int i = 0; i < S::panels; ++i)  // past the last: not put
      unit.panels[i] = down.panel(tile.expert, min(int64_t(blockIdx.x) * S::panels + i, down.format.panels() - 1));
    unit.tokens = tile.count;
    return true;
  }
  template <typename S>
  __device__ EvenRows rows(int token, int) const {
    return {act + (tile.first + token) * down.format.padded_columns(),
            S::pass_tokens * down.format.padded_columns()};
  }
  template <int n_panels>
  __device__ void put(int token, int panel, int row_in_panel, const float (&sums)[n_panels]) const {
    const int64_t pair = sorted.order[tile.first + token];
#pragma unroll
    for (int p = 0; p < n_panels; ++p) {
      const int64_t row = (int64_t(panel) * n_panels + p) * panel_rows + row_in_panel;
      if (row < down.format.rows)
        parts[pair * down.format.rows + row] = (sums[p] + down.bias_of(tile.expert, row)) * weights[pair];
    }
  }
};

// Grid: tokens x slices of the columns.
__global__ void combine_kernel(const float* parts, int choices, const float* residual, float* out,
                               int64_t columns) {
  let_next_start();
  wait_for_inputs();
  const int64_t t = blockIdx.x, c = int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (c >= columns) return;
  float sum = 0;
  for (int j = 0; j < choices; ++j) sum += parts[(t * choices + j) * columns + c];
  out[t * columns + c] = residual != nullptr ? residual[t * columns + c] + sum : sum;
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
    throw Error(Fault::model, "gate and up of the experts are quantised differently");
  const Arena::Scope scope(workspace());
  const uint16_t* const x = round_inputs(op.x, gate.format);
  const int64_t most_tiles = pairs / 8 + std::min(experts, pairs);  // of 8 pairs; larger tiles are fewer
  const Sorted sorted{.order = workspace().array<int32_t>(pairs),
                      .tiles = workspace().array<Tile>(most_tiles),
                      .tile_count = workspace().array<int32_t>(1)};
  auto* const act = workspace().array<uint16_t>(pairs * act_padded);
  auto* const parts = workspace().array<float>(pairs * down.format.rows);
  if (workspace().measuring() || pairs == 0) return;

  const GateUp gate_up{gate, up, x, int(choices), sorted, op.activation, act, act_padded};
  const Down down_product{down, act, sorted, op.weights.data<float>(), parts};
  const auto sort = [&](int tile_pairs) {
    launch("expert_sort", sort_kernel,
           {.threads = pairs <= 256 ? 256 : 1024,
            .shared_bytes = size_t(experts) * 2 * sizeof(int32_t),
            .overlap = true},
           op.experts.data<int32_t>(), pairs, int(experts), tile_pairs, sorted);
    return pairs / tile_pairs + std::min(experts, pairs);  // tiles, at most
  };
  const auto multiply = [&]<int n_tokens, int groups>() {
    const int64_t tiles = sort(n_tokens);
    dispatch_coded(gate.format, [&]<typename Coded>() {
      launch_product<Shape<Coded, 2, n_tokens, groups>, n_tokens == 8>("expert_gate_up", gate.format.panels(),
                                                                       tiles, gate_up);
    });
    dispatch_coded(down.format, [&]<typename Coded>() {
      constexpr int panels =
          n_tokens == 16 || n_tokens == 32 ? 2 : 1;  // two where blocks are many and registers few
      launch_product<Shape<Coded, panels, n_tokens, groups>, n_tokens == 8>(
          "expert_down", (down.format.panels() + panels - 1) / panels, tiles, down_product);
    });
  };
  // Columns past the matrix meet zero weights; they must only not be NaNs.
  if (act_padded != down.format.columns)
    check(cudaMemsetAsync(act, 0, size_t(pairs * act_padded) * 2, stream_), "cudaMemsetAsync");
  // Tiles that few experts need two of.
  const int64_t average = (pairs + experts - 1) / experts;
  if (average <= 2)
    multiply.template operator()<8, 1>();
  else if (average <= 13)
    multiply.template operator()<16, 1>();
  else if (average <= 24)
    multiply.template operator()<32, 1>();
  else
    multiply.template operator()<64, 2>();
  launch("expert_combine", combine_kernel,
         {.x = tokens, .y = (op.x.size(1) + 255) / 256, .threads = 256, .overlap = true}, parts, int(choices),
         op.residual.empty() ? nullptr : op.residual.data<float>(), op.out.data<float>(), op.x.size(1));
}

}  // namespace chorus::cuda
