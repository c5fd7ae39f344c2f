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
  extern __shared__ int32_t next[];  // pairs of every expert, then where its next one goes
  for (int e = int(threadIdx.x); e < expert_count; e += int(blockDim.x)) next[e] = 0;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < pairs; i += blockDim.x) atomicAdd(&next[experts[i]], 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    int32_t first = 0, tiles = 0;
    for (int e = 0; e < expert_count; ++e) {
      const int32_t count = next[e];
      next[e] = first;
      for (int32_t i = 0; i < count; i += tile_pairs)
        out.tiles[tiles++] = {e, first + i, min(count - i, int32_t(tile_pairs))};
      first += count;
    }
    *out.tile_count = tiles;
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

// Grid: panels of gate and up x tiles. act: [pairs, padded], in the order of the sort.
template <PanelKind kind, int n_tiles>
__global__ void __launch_bounds__(product_threads)
    gate_up_kernel(Weights gate, Weights up, const uint16_t* x, int choices, Sorted sorted,
                   ClampedSwiglu activation, uint16_t* act, int64_t act_padded) {
  if (int(blockIdx.y) >= *sorted.tile_count) return;
  __shared__ SharedSums<n_tiles> shared;
  const Tile tile = sorted.tiles[blockIdx.y];
  const int lane = int(threadIdx.x) % 32;
  const uint16_t* rows[n_tiles];
  for (int n = 0; n < n_tiles; ++n) {
    const int32_t pair = sorted.order[tile.first + min(n * 8 + lane / 4, tile.count - 1)];
    rows[n] = x + int64_t(pair / choices) * gate.format.padded_columns();
  }
  constexpr int per_thread = n_tiles * 8 * panel_rows / product_threads;
  float sums[n_tiles][4], gates[per_thread];
  multiply_panel<kind, n_tiles>(gate.panel(tile.expert, blockIdx.x), gate.format, rows, sums);
  shared.put(sums);
  __syncthreads();
  for (int k = 0; k < per_thread; ++k) {
    const int i = k * product_threads + int(threadIdx.x);
    gates[k] = shared.total(i / panel_rows, i % panel_rows);
  }
  __syncthreads();
  multiply_panel<kind, n_tiles>(up.panel(tile.expert, blockIdx.x), up.format, rows, sums);
  shared.put(sums);
  __syncthreads();
  for (int k = 0; k < per_thread; ++k) {
    const int i = k * product_threads + int(threadIdx.x), token = i / panel_rows;
    const int64_t row = int64_t(blockIdx.x) * panel_rows + i % panel_rows;
    if (token >= tile.count || row >= gate.format.rows) continue;
    const float value = swiglu(gates[k] + gate.bias_of(tile.expert, row),
                               shared.total(token, i % panel_rows) + up.bias_of(tile.expert, row),
                               activation.alpha, activation.limit);
    act[(tile.first + token) * act_padded + row] = bf16_bits(value);
  }
}

// Grid: panels of down x tiles. out: [pairs, H], by pair.
template <PanelKind kind, int n_tiles>
__global__ void __launch_bounds__(product_threads)
    down_kernel(Weights down, const uint16_t* act, Sorted sorted, const float* weights, float* out) {
  if (int(blockIdx.y) >= *sorted.tile_count) return;
  __shared__ SharedSums<n_tiles> shared;
  const Tile tile = sorted.tiles[blockIdx.y];
  const int lane = int(threadIdx.x) % 32;
  const uint16_t* rows[n_tiles];
  for (int n = 0; n < n_tiles; ++n)
    rows[n] = act + (tile.first + min(n * 8 + lane / 4, tile.count - 1)) * down.format.padded_columns();
  float sums[n_tiles][4];
  multiply_panel<kind, n_tiles>(down.panel(tile.expert, blockIdx.x), down.format, rows, sums);
  shared.put(sums);
  __syncthreads();
  for (int i = int(threadIdx.x); i < n_tiles * 8 * panel_rows; i += product_threads) {
    const int token = i / panel_rows;
    const int64_t row = int64_t(blockIdx.x) * panel_rows + i % panel_rows;
    if (token >= tile.count || row >= down.format.rows) continue;
    const int64_t pair = sorted.order[tile.first + token];
    out[pair * down.format.rows + row] =
        (shared.total(token, i % panel_rows) + down.bias_of(tile.expert, row)) * weights[pair];
  }
}

__global__ void combine_kernel(const float* parts, int choices, float* out, int64_t columns) {
  const int64_t t = blockIdx.x;
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
    float sum = 0;
    for (int j = 0; j < choices; ++j) sum += parts[(t * choices + j) * columns + c];
    out[t * columns + c] = sum;
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
        .with("limit", max_experts)
        .with("actual", experts);
  if (gate.format.kind != up.format.kind || gate.format.wide_scales != up.format.wide_scales)
    throw Error(Fault::model, "gate and up of the experts are quantised differently");
  const Arena::Scope scope(workspace());
  const uint16_t* const x = round_inputs(op.x, gate.format);
  const int64_t most_tiles = pairs / 8 + std::min(experts, pairs);  // of 8 pairs; larger tiles are fewer
  const Sorted sorted{.order = workspace().array<int32_t>(pairs),
                      .tiles = workspace().array<Tile>(most_tiles),
                      .tile_count = workspace().array<int32_t>(1)};
  auto* const act = workspace().array<uint16_t>(pairs * act_padded);
  auto* const parts = workspace().array<float>(pairs * op.x.size(1));
  if (workspace().measuring() || pairs == 0) return;

  const auto tiled = [&]<int n_tiles>() {
    constexpr int tile_pairs = n_tiles * 8;
    const int64_t tiles = pairs / tile_pairs + std::min(experts, pairs);
    launch("expert_sort", sort_kernel, {.threads = 1024, .shared_bytes = size_t(experts) * sizeof(int32_t)},
           op.experts.data<int32_t>(), pairs, int(experts), tile_pairs, sorted);
    dispatch_kind(gate.format.kind, [&]<PanelKind kind>() {
      launch("expert_gate_up", gate_up_kernel<kind, n_tiles>,
             {.x = gate.format.panels(), .y = tiles, .threads = product_threads}, gate, up, x, int(choices),
             sorted, op.activation, act, act_padded);
    });
    dispatch_kind(down.format.kind, [&]<PanelKind kind>() {
      launch("expert_down", down_kernel<kind, n_tiles>,
             {.x = down.format.panels(), .y = tiles, .threads = product_threads}, down, act, sorted,
             op.weights.data<float>(), parts);
    });
  };
  // Columns past the matrix meet zero weights; they must only not be NaNs.
  if (act_padded != down.format.columns)
    check(cudaMemsetAsync(act, 0, size_t(pairs * act_padded) * 2, stream_), "cudaMemsetAsync");
  const int64_t average = (pairs + experts - 1) / experts;
  if (average <= 8)
    tiled.template operator()<1>();
  else if (average <= 16)
    tiled.template operator()<2>();
  else if (average <= 32)
    tiled.template operator()<4>();
  else
    tiled.template operator()<8>();
  launch("expert_combine", combine_kernel, {.x = tokens}, parts, int(choices), op.out.data<float>(), op.x.size(1));
}

}  // namespace chorus::cuda
