// The experts: (token, choice) pairs sorted by expert on the device, cut into tiles of one expert's pairs; gate,
// up and the activation in one kernel, down with its routing weight in the next, then every token's choices added
// in order. An expert's weights are read once per tile of up to 64 pairs.
#include "backend/cuda/panel_block.cuh"
#include "backend/cuda/panel_stream.cuh"
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
  wait_for_inputs();
  extern __shared__ int32_t counts[];  // pairs of every expert; then where its next one goes
  int32_t* const next = counts + expert_count;
  for (int e = int(threadIdx.x); e < expert_count; e += int(blockDim.x)) counts[e] = 0;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < pairs; i += blockDim.x) atomicAdd(&counts[experts[i]], 1);
  __syncthreads();
  for (int e = int(threadIdx.x); e < expert_count; e += int(blockDim.x)) {
    int32_t first = 0, tile = 0;
    for (int before = 0; before < e; ++before) {
      first += counts[before];
      tile += (counts[before] + tile_pairs - 1) / tile_pairs;
    }
    next[e] = first;
    for (int32_t i = 0; i < counts[e]; i += tile_pairs)
      out.tiles[tile++] = {e, first + i, min(counts[e] - i, int32_t(tile_pairs))};
    if (e == expert_count - 1) *out.tile_count = tile;
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
/// act_padded] bf16, in the order of the sort.
struct GateUp {
  Weights gate, up;
  const uint16_t* x;
  int choices;
  Sorted sorted;
  ClampedSwiglu activation;
  uint16_t* act;
  int64_t act_padded;

  __host__ __device__ const PanelFormat& format() const { return gate.format; }
  __host__ __device__ int units() const { return int(gate.format.panels()); }  // of an expert
  __device__ void panels(int expert, int unit, const std::byte* (&at)[2]) const {
    at[0] = gate.panel(expert, unit);
    at[1] = up.panel(expert, unit);
  }
  __device__ const uint16_t* inputs(int64_t sorted_pair) const {
    return x + int64_t(sorted.order[sorted_pair] / choices) * gate.format.padded_columns();
  }
  /// The unit's sums of one row.
  __device__ void put(int expert, int64_t sorted_pair, int64_t unit, int row_in_panel,
                      const float (&sums)[2]) const {
    const int64_t row = unit * panel_rows + row_in_panel;
    if (row >= gate.format.rows) return;
    const float value = swiglu(sums[0] + gate.bias_of(expert, row), sums[1] + up.bias_of(expert, row),
                               activation.alpha, activation.limit);
    act[sorted_pair * act_padded + row] = bf16_bits(value);
  }
};

/// parts = weight * down(act); a unit is two panels that follow one another: parts [pairs, H], by pair.
struct Down {
  Weights down;
  const uint16_t* act;
  Sorted sorted;
  const float* weights;
  float* parts;

  __host__ __device__ const PanelFormat& format() const { return down.format; }
  __host__ __device__ int units() const { return int(down.format.panels() + 1) / 2; }
  __device__ void panels(int expert, int unit, const std::byte* (&at)[2]) const {
    at[0] = down.panel(expert, unit * 2);
    at[1] = down.panel(expert, min(int64_t(unit) * 2 + 1, down.format.panels() - 1));
  }
  __device__ const uint16_t* inputs(int64_t sorted_pair) const {
    return act + sorted_pair * down.format.padded_columns();
  }
  __device__ void put(int expert, int64_t sorted_pair, int64_t unit, int row_in_panel,
                      const float (&sums)[2]) const {
    const int64_t pair = sorted.order[sorted_pair];
    for (int p = 0; p < 2; ++p) {
      const int64_t row = (unit * 2 + p) * panel_rows + row_in_panel;
      if (row < down.format.rows)
        parts[pair * down.format.rows + row] = (sums[p] + down.bias_of(expert, row)) * weights[pair];
    }
  }
};

/// Every unit of every tile, a tile's one after the other.
template <typename Product, int n_tiles>
struct StreamUnits {
  const Product& product;
  int tile_index = -1;
  Tile tile = {};
  const uint16_t* inputs[n_tiles];

  __device__ void panels(int unit, const std::byte* (&at)[2]) const {
    product.panels(product.sorted.tiles[unit / product.units()].expert, unit % product.units(), at);
  }
  __device__ int tokens(int unit, const uint16_t* (&x)[n_tiles]) {
    if (unit / product.units() != tile_index) {
      tile_index = unit / product.units();
      tile = product.sorted.tiles[tile_index];
#pragma unroll
      for (int n = 0; n < n_tiles; ++n)
        inputs[n] = product.inputs(tile.first + min(n * 8 + int(threadIdx.x) % 32 / 4, tile.count - 1));
    }
#pragma unroll
    for (int n = 0; n < n_tiles; ++n) x[n] = inputs[n];
    return (tile.count + 7) / 8;
  }
  __device__ void finish(int unit, const StreamSums<2, n_tiles>& sums) const {
    for (int i = int(threadIdx.x); i < tile.count * panel_rows; i += stream_threads) {
      const int token = i / panel_rows, row = i % panel_rows;
      product.put(tile.expert, tile.first + token, unit % product.units(), row,
                  {sums.total(0, token, row), sums.total(1, token, row)});
    }
  }
};

template <typename Coded, int n_tiles, typename Product>
__global__ void __launch_bounds__(stream_threads, stream_blocks(n_tiles)) stream_kernel(Product product) {
  let_next_start();
  wait_for_inputs();  // which experts it is about
  StreamUnits<Product, n_tiles> units{product};
  const Share share(int64_t(*product.sorted.tile_count) * product.units(), stream_blocks(n_tiles));
  stream_panels<Coded, 2, n_tiles>(product.format(), share.first, share.last, units);
}

// Grid: groups of 4 units x tiles of up to 64 pairs. Warps 2 u and 2 u + 1 have unit u's panels.
template <typename Coded, typename Product>
__global__ void __launch_bounds__(block_threads, 2) block_kernel(Product product) {
  wait_for_inputs();
  if (int(blockIdx.y) >= *product.sorted.tile_count) return;
  auto& shared = *reinterpret_cast<BlockShared<Coded>*>(block_memory);
  const Tile tile = product.sorted.tiles[blockIdx.y];
  const int first_unit = int(blockIdx.x) * (block_warps / 2), warp = int(threadIdx.x) / 32;
  const std::byte* panels[2];
  product.panels(tile.expert, min(first_unit + warp / 2, product.units() - 1), panels);
  const uint16_t* const rows[2] = {product.inputs(tile.first + min(int(threadIdx.x) / 8, tile.count - 1)),
                                   product.inputs(tile.first + min(int(threadIdx.x) / 8 + 32, tile.count - 1))};
  multiply_block<false>(product.format(), panels[warp % 2], rows, (tile.count + 7) / 8, -1, shared);
  shared.for_each(shared.outputs / 2, tile.count, [&](int i, int token) {
    const int unit = i / panel_rows, row = i % panel_rows;
    if (first_unit + unit < product.units())
      product.put(tile.expert, tile.first + token, first_unit + unit, row,
                  {shared.sums[unit * 2 * panel_rows + row][token],
                   shared.sums[(unit * 2 + 1) * panel_rows + row][token]});
  });
}

__global__ void combine_kernel(const float* parts, int choices, const float* residual, float* out,
                               int64_t columns) {
  const int64_t t = blockIdx.x;
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
    float sum = 0;
    for (int j = 0; j < choices; ++j) sum += parts[(t * choices + j) * columns + c];
    out[t * columns + c] = residual != nullptr ? residual[t * columns + c] + sum : sum;
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
           {.threads = 1024, .shared_bytes = size_t(experts) * 2 * sizeof(int32_t), .overlap = true},
           op.experts.data<int32_t>(), pairs, int(experts), tile_pairs, sorted);
    return pairs / tile_pairs + std::min(experts, pairs);  // tiles, at most
  };
  const auto stream = [&]<int n_tiles>() {
    const int64_t tiles = sort(n_tiles * 8), resident = int64_t(processors_) * stream_blocks(n_tiles);
    const auto launch_one = [&]<typename P>(const char* name, const P& product) {
      dispatch_coded(product.format(), [&]<typename Coded>() {
        launch(name, stream_kernel<Coded, n_tiles, P>,
               {.x = std::min(tiles * int64_t(product.units()), resident),
                .threads = stream_threads,
                .overlap = true},
               product);
      });
    };
    launch_one("expert_gate_up", gate_up);
    launch_one("expert_down", down_product);
  };
  const auto block = [&] {
    const int64_t tiles = sort(block_tokens);
    const auto launch_one = [&]<typename P>(const char* name, const P& product) {
      const int64_t groups = int64_t(product.units() + block_warps / 2 - 1) / (block_warps / 2);
      dispatch_coded(product.format(), [&]<typename Coded>() {
        launch(name, block_kernel<Coded, P>,
               {.x = groups,
                .y = tiles,
                .threads = block_threads,
                .shared_bytes = sizeof(BlockShared<Coded>),
                .overlap = true},
               product);
      });
    };
    launch_one("expert_gate_up", gate_up);
    launch_one("expert_down", down_product);
  };
  // Columns past the matrix meet zero weights; they must only not be NaNs.
  if (act_padded != down.format.columns)
    check(cudaMemsetAsync(act, 0, size_t(pairs * act_padded) * 2, stream_), "cudaMemsetAsync");
  // Tiles of about twice the average: few experts' weights are read twice.
  const int64_t average = (pairs + experts - 1) / experts;
  if (average <= 4)
    stream.template operator()<1>();
  else if (average <= 8)
    stream.template operator()<2>();
  else if (average <= 32)
    stream.template operator()<4>();
  else
    block();
  launch("expert_combine", combine_kernel, {.x = tokens}, parts, int(choices),
         op.residual.empty() ? nullptr : op.residual.data<float>(), op.out.data<float>(), op.x.size(1));
}

}  // namespace chorus::cuda
