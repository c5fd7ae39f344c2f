// Panels times tokens on the tensor cores: what the dense and the expert products share.
//
// A block takes one unit: for each of its warpgroups some panels, for all of them one tile of tokens. A ring of
// stages in shared memory holds the chunks to come, of every panel, as it lies in memory, and of the tokens'
// inputs. Each of the four warps unpacks 16 rows of a panel into registers, from which wgmma takes them, while the
// one before runs.
//
// A token's sum over the inputs is cut into four classes, each a quarter of the pairs of chunks; a class is summed
// in the order of its chunks, and the classes are added in their order. A unit's block goes through the classes in
// turn, or, where there are few units, four blocks of a cluster take one each. Nothing else enters a sum: a
// token's result depends neither on the form, nor on its place in a tile, nor on the other tokens.
#pragma once

#include <cooperative_groups.h>

#include "backend/cuda/unpack.cuh"
#include "backend/cuda/wgmma.cuh"

namespace chorus::cuda {

constexpr int classes = 4, group_threads = 128, pair_chunks = 2;

/// How a unit is computed: `groups` warpgroups with `n_panels` panels each, and `n_tokens` tokens.
template <typename Coded_, int n_panels_, int n_tokens_, int groups_ = 1>
struct Shape {
  using Coded = Coded_;
  static constexpr int n_panels = n_panels_, n_tokens = n_tokens_, tiles = n_tokens / 8, groups = groups_;
  static constexpr int threads = groups * group_threads, panels = groups * n_panels;
  /// A thread copies 16 bytes of every `pass_tokens`th token's chunk.
  static constexpr int pass_tokens = threads / 8, passes = (n_tokens + pass_tokens - 1) / pass_tokens;
  static constexpr int input_bytes = n_tokens * chunk_columns * 2;  ///< of a chunk
  static constexpr int chunk_bytes = input_bytes + panels * Coded::chunk_bytes;
  static constexpr int room(int blocks) { return (224 << 10) / blocks - 2048; }
  /// Chunks of a stage: two where stages are small, since each costs a barrier.
  static constexpr int stage_chunks = chunk_bytes <= 9 << 10 ? pair_chunks : 1;
  static constexpr int stage_bytes = stage_chunks * chunk_bytes;
  /// Blocks that a multiprocessor holds: as the registers allow, half of which are for sums, and with three
  /// stages.
  static constexpr int blocks = [] {
    constexpr int sums = n_panels * n_tokens;
    int n = (sums <= 16 ? 6 : sums <= 32 ? 5 : sums <= 64 ? 4 : 2) / groups;
    while (n > 1 && room(n) / stage_bytes < 3) --n;
    return n;
  }();
  static constexpr int stages = room(blocks) / stage_bytes > 6 ? 6 : room(blocks) / stage_bytes;
  static_assert(stages >= 3);
  static constexpr size_t shared_bytes = size_t(stages) * stage_bytes + 1024;  ///< to begin at a multiple of 1,024
};

/// Where a unit's panels lie.
template <typename S>
struct Unit {
  const std::byte* panels[S::panels];  ///< of the first warpgroup, of the second
  int tokens;                          ///< of the tile
};

/// A thread's sums, as wgmma lays them out; element (n, i): token n * 8 + lane % 4 * 2 + i % 2, row
/// 16 * warp + lane / 4 + i / 2 * 8.
template <typename S>
using Sums = float[S::n_panels][S::tiles][4];

/// Inputs of every S::pass_tokens'th token of a tile from some token on: rows at equal distances, or anywhere.
struct EvenRows {
  const uint16_t* first;
  int64_t step;

  __device__ const uint16_t* operator[](int i) const { return first + i * step; }
};
template <int most>
struct ListedRows {
  const uint16_t* rows[most];

  __device__ const uint16_t* operator[](int i) const { return rows[i]; }
};

__device__ inline int first_chunk(int cls, int chunks) {
  const int pairs = (chunks + pair_chunks - 1) / pair_chunks;
  return min(pairs * cls / classes * pair_chunks, chunks);
}

/// The chunks of a unit on their way to shared memory, a stage after the other.
template <typename S>
struct Ring {
  static constexpr int panel_bytes = S::stage_chunks * S::Coded::chunk_bytes;

  uint32_t memory, full;  ///< addresses in shared memory; full: a barrier a stage, for the panels
  int end;                ///< the chunk after the last

  __device__ uint32_t inputs(int stage) const { return memory + stage * (S::stage_chunks * S::input_bytes); }
  __device__ uint32_t weights(int stage) const {
    return memory + S::stages * (S::stage_chunks * S::input_bytes) + stage * (S::panels * panel_bytes);
  }
  /// By one thread.
  __device__ void request_weights(const Unit<S>& unit, int chunk, int stage) const {
    const uint32_t bytes = min(S::stage_chunks, end - chunk) * S::Coded::chunk_bytes;
    arrive_and_expect(full + stage * 8, S::panels * bytes);
#pragma unroll
    for (int p = 0; p < S::panels; ++p)
      copy_bulk(weights(stage) + p * panel_bytes, unit.panels[p] + int64_t(chunk) * S::Coded::chunk_bytes, bytes,
                full + stage * 8);
  }
  /// By all threads. `mine`: how many tokens this thread copies.
  template <typename Rows>
  __device__ void request_inputs(const Rows& rows, int mine, int chunk, int stage) const {
    const int token = int(threadIdx.x) / 8, unit = int(threadIdx.x) % 8;
    const uint32_t to = inputs(stage) + token * 128 + (unit ^ token % 8) * 16;
#pragma unroll
    for (int i = 0; i < S::passes; ++i)
      if (i < mine) {
        const uint16_t* const from = rows[i] + chunk * chunk_columns + unit * 8;
        copy_async<16>(to + i * S::pass_tokens * 128, from);
        if (S::stage_chunks > 1 && chunk + 1 < end)
          copy_async<16>(to + S::input_bytes + i * S::pass_tokens * 128, from + chunk_columns);
      }
  }
};

/// Neither written after this point nor read before it.
template <int panels, int tiles>
__device__ __forceinline__ void fence(float (&sums)[panels][tiles][4]) {
#pragma unroll
  for (int p = 0; p < panels; ++p)
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(sums[p][n][i])::"memory");
}

/// The unit's sums over classes [first_class, last_class).
template <typename S, typename Product>
__device__ __forceinline__ void sum_classes(const Ring<S>& ring, const Unit<S>& unit, const Product& product,
                                            int first_class, int last_class, Sums<S>& totals) {
  using Coded = typename S::Coded;
  constexpr int ahead = S::stages - 2;  // of the stage before, wgmma may still read the inputs
  constexpr int step = S::stage_chunks;
  const PanelFormat& f = product.format();
  const int group = int(threadIdx.x) / group_threads, warp = int(threadIdx.x) / 32 % 4, chunks = int(f.chunks());
  const int begin = first_chunk(first_class, chunks), end = ring.end;
  if (threadIdx.x == 0)
    for (int i = 0; i < ahead && begin + i * step < end; ++i) ring.request_weights(unit, begin + i * step, i);
  if constexpr (Product::early) wait_for_inputs();
  const int mine = (unit.tokens - int(threadIdx.x) / 8 + S::pass_tokens - 1) / S::pass_tokens;
  const auto rows = product.template rows<S>(int(threadIdx.x) / 8, mine);
#pragma unroll
  for (int i = 0; i < ahead; ++i) {
    if (begin + i * step < end) ring.request_inputs(rows, mine, begin + i * step, i);
    commit_copies();
  }

  int stage = 0, next_stage = ahead;
  uint32_t parity = 0;
#pragma unroll
  for (int p = 0; p < S::n_panels; ++p)
#pragma unroll
    for (int n = 0; n < S::tiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) totals[p][n][i] = 0;
#pragma unroll 1
  for (int cls = first_class; cls < last_class; ++cls) {
    float sums[S::n_panels][S::tiles][4] = {};
    fence(sums);
    uint32_t a[2][2][4];  // half a chunk is unpacked while wgmma takes the other half
    const int class_end = first_chunk(cls + 1, chunks);
#pragma unroll 1
    for (int chunk = first_chunk(cls, chunks); chunk < class_end; chunk += step) {
      wait_for_copies<ahead - 1>();
      publish_to_products();
      __syncthreads();
      if (chunk + ahead * step < end) {
        if (threadIdx.x == 0) ring.request_weights(unit, chunk + ahead * step, next_stage);
        ring.request_inputs(rows, mine, chunk + ahead * step, next_stage);
      }
      commit_copies();
      wait_for_phase(ring.full + stage * 8, parity);
      uint32_t weights_at = ring.weights(stage) + group * (S::n_panels * Ring<S>::panel_bytes);
      uint64_t inputs = inputs_at(ring.inputs(stage));
#pragma unroll 1
      for (int left = min(step, class_end - chunk); left > 0; --left) {
#pragma unroll
        for (int p = 0; p < S::n_panels; ++p) {
          if constexpr (Coded::kind == PanelKind::bf16)
            wait_for_products<0>();  // they take what is loaded as it is
          Chunk<Coded> weights;
          weights.load(weights_at + p * Ring<S>::panel_bytes, warp, f);
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            wait_for_products<1>();
#pragma unroll
            for (int m = 0; m < 2; ++m) weights.weights(half * 2 + m, a[half][m]);
            begin_products();
#pragma unroll
            for (int m = 0; m < 2; ++m) multiply_group(sums[p], a[half][m], inputs + (half * 2 + m) * (32 / 16));
            commit_products();
          }
        }
        weights_at += Coded::chunk_bytes;
        inputs += S::input_bytes / 16;
      }
      if (++stage == S::stages) stage = 0, parity ^= 1;
      if (++next_stage == S::stages) next_stage = 0;
    }
    wait_for_products<0>();
    fence(sums);
#pragma unroll
    for (int p = 0; p < S::n_panels; ++p)
#pragma unroll
      for (int n = 0; n < S::tiles; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) totals[p][n][i] += sums[p][n][i];
  }
}

/// One unit. `Product` says what it is:
///   format()                of its matrices
///   early                   whether find() depends on no kernel before this one
///   find(Unit<S>&)          the unit by blockIdx; false: there is none
///   rows<S>(token, count)   inputs of `count` of the tile's tokens: this one, S::pass_tokens more, and so on
///   put(token, warpgroup, row, values)   by the thread that has them: values [n_panels] of a token in a row of each of
///                                        the panels that a warpgroup has, warpgroups counted over all blocks of x
template <typename S, bool split, typename Product>
__device__ __forceinline__ void multiply_panels(Product& product) {
  extern __shared__ __align__(1024) std::byte product_memory[];
  __shared__ __align__(8) uint64_t barriers[S::stages];
  let_next_start();
  if constexpr (!Product::early) wait_for_inputs();
  Unit<S> unit;
  if (!product.find(unit)) return;
  const PanelFormat& f = product.format();
  const int first_class = split ? int(blockIdx.z) : 0, last_class = split ? first_class + 1 : classes;
  const Ring<S> ring{.memory = (shared_address(product_memory) + 1023) & ~1023u,
                     .full = shared_address(barriers),
                     .end = first_chunk(last_class, int(f.chunks()))};
  if (threadIdx.x == 0) {
    for (int s = 0; s < S::stages; ++s) init_barrier(ring.full + s * 8, 1);
    publish_barriers();
  }
  __syncthreads();
  Sums<S> sums;
  sum_classes<S>(ring, unit, product, first_class, last_class, sums);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32 % 4,
            group = int(threadIdx.x) / group_threads;
  const auto put = [&](int n, int i, const float(&values)[S::n_panels]) {
    const int token = n * 8 + lane % 4 * 2 + i % 2;
    if (token < unit.tokens)
      product.put(token, int(blockIdx.x) * S::groups + group, warp * fragment_rows + lane / 4 + i / 2 * 8, values);
  };
  if constexpr (!split) {
#pragma unroll
    for (int n = 0; n < S::tiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float values[S::n_panels];
#pragma unroll
        for (int p = 0; p < S::n_panels; ++p) values[p] = sums[p][n][i];
        put(n, i, values);
      }
  } else {
    // Block c finishes elements (n, c) of all, which it adds in the order of the classes.
    namespace cg = cooperative_groups;
    __syncthreads();  // the ring is done with
    auto* const own = reinterpret_cast<float*>(product_memory);
    const auto at = [&](int p, int n, int i) {
      return ((p * S::tiles + n) * 4 + i) * S::threads + int(threadIdx.x);
    };
#pragma unroll
    for (int p = 0; p < S::n_panels; ++p)
#pragma unroll
      for (int n = 0; n < S::tiles; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) own[at(p, n, i)] = sums[p][n][i];
    const auto cluster = cg::this_cluster();
    cluster.sync();
    const float* of_class[classes];
#pragma unroll
    for (int c = 0; c < classes; ++c) of_class[c] = cluster.map_shared_rank(own, unsigned(c));
#pragma unroll
    for (int n = 0; n < S::tiles; ++n) {
      float values[S::n_panels];
#pragma unroll
      for (int p = 0; p < S::n_panels; ++p) {
        values[p] = 0;
#pragma unroll
        for (int c = 0; c < classes; ++c) values[p] += of_class[c][at(p, n, int(blockIdx.z))];
      }
      put(n, int(blockIdx.z), values);
    }
    cluster.sync();  // the others may still read
  }
}

template <typename S, typename Product>
__global__ void __launch_bounds__(S::threads, S::blocks) product_kernel(Product product) {
  multiply_panels<S, false>(product);
}
template <typename S, typename Product>
__global__ void __cluster_dims__(1, 1, classes) __launch_bounds__(S::threads, S::blocks)
    split_product_kernel(Product product) {
  multiply_panels<S, true>(product);
}

template <typename S, bool may_split, typename Product>
void CudaBackend::launch_product(const char* name, int64_t wanted, int64_t tiles, const Product& product) {
  Grid grid{.x = (wanted + S::groups - 1) / S::groups,
            .y = tiles,
            .threads = S::threads,
            .shared_bytes = S::shared_bytes,
            .overlap = true};
  if constexpr (may_split) {
    if (grid.x * grid.y < 3 * processors_) {
      grid.z = classes;
      return launch(name, split_product_kernel<S, Product>, grid, product);
    }
  }
  launch(name, product_kernel<S, Product>, grid, product);
}

}  // namespace chorus::cuda
