// Panels times tokens on the tensor cores: what the dense and the expert products share.
//
// A block takes one unit: for each of its warpgroups some panels, for all of them one tile of tokens. One more
// warp has the copy engine keep a ring of stages in shared memory filled: chunks of every panel, as they lie in
// memory, and the tokens' inputs. Each of the four warps of a warpgroup unpacks 16 rows of a panel into registers,
// from which wgmma takes them, while the one before runs. Warps meet at the stages' barriers only: one tells them
// that a stage has come, the other the copying warp that all have read it. (A warp of the warpgroup that did the
// asking would keep the other three waiting, since wgmma takes the four at once.)
//
// A token's sum over the inputs is cut into four classes, each a quarter of the pairs of chunks; a class is summed
// in the order of its chunks, and the classes are added in their order. A unit's block goes through the classes in
// turn, or, where there are few units, four blocks of a cluster take one each. Nothing else enters a sum: a
// token's result depends neither on the form, nor on its place in a tile, nor on the other tokens.
#pragma once

#include <cooperative_groups.h>

#include "backend/cuda/input_tiles.h"
#include "backend/cuda/unpack.cuh"
#include "backend/cuda/wgmma.cuh"

namespace chorus::cuda {

constexpr int classes = 4, group_threads = 128, pair_chunks = 2;

/// How a unit is computed: `groups` warpgroups with `n_panels` panels each, and `n_tokens` tokens; at most
/// `stage_chunks` chunks a stage and `most_blocks` blocks a multiprocessor. `one_class`: for blocks of one class
/// alone.
template <typename Coded_, int n_panels_, int n_tokens_, int groups_ = 1, int stage_chunks_ = 2,
          int most_blocks = 6, bool one_class = false>
struct Shape {
  using Coded = Coded_;
  static constexpr int n_panels = n_panels_, n_tokens = n_tokens_, tiles = n_tokens / 8, groups = groups_;
  static constexpr int threads = groups * group_threads, panels = groups * n_panels;
  static constexpr int block_threads = threads + 32;                ///< with the copying warp
  static constexpr int input_bytes = n_tokens * chunk_columns * 2;  ///< of a chunk
  static constexpr int chunk_bytes = input_bytes + panels * Coded::chunk_bytes;
  static constexpr int room(int blocks) { return (224 << 10) / blocks - 2048; }
  /// Chunks of a stage: two where stages are small, since each costs barriers.
  static constexpr int stage_chunks = chunk_bytes <= 18 << 10 ? stage_chunks_ : 1;
  static constexpr int stage_bytes = stage_chunks * chunk_bytes;
  static constexpr int sums = n_panels * n_tokens / 2;  ///< of a thread
  /// Classes that are done are added up in shared memory where registers are short.
  static constexpr bool totals_in_memory = sums > 32 && !one_class;
  static constexpr int totals_bytes = totals_in_memory ? sums * threads * 4 : 0;
  /// Blocks that a multiprocessor holds: as the registers allow, and with three stages.
  static constexpr int blocks = [] {
    int n = std::min(groups > 1 ? 4 / groups : sums <= 8 ? 5 : sums <= 24 ? 4 : 3, most_blocks);
    while (n > 1 && (room(n) - totals_bytes) / stage_bytes < 3) --n;
    return n;
  }();
  static constexpr int most_stages = 8;
  static constexpr int stages = std::min((room(blocks) - totals_bytes) / stage_bytes, most_stages);
  static_assert(stages >= 3);
  static constexpr size_t ring_bytes = size_t(stages) * stage_bytes;
  static constexpr size_t shared_bytes = ring_bytes + totals_bytes + 1024;  ///< to begin at a multiple of 1,024
};

/// Where a unit's panels lie, and the rows of its inputs.
template <int n>
struct Unit {
  const std::byte* panels[n];  ///< of the first warpgroup, of the second
  int first_row, tokens;       ///< of the tile
};

/// A thread's sums, as wgmma lays them out; element (n, i): token n * 8 + lane % 4 * 2 + i % 2, row
/// 16 * warp + lane / 4 + i / 2 * 8.
template <typename S>
using Sums = float[S::n_panels][S::tiles][4];

template <typename S, typename F>
__device__ __forceinline__ void for_each_quad(F&& f) {
#pragma unroll
  for (int p = 0; p < S::n_panels; ++p)
#pragma unroll
    for (int n = 0; n < S::tiles; ++n) f(p, n);
}
__device__ __forceinline__ float element(const float4& v, int i) {
  return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

__device__ inline int first_chunk(int cls, int chunks) {
  const int pairs = (chunks + pair_chunks - 1) / pair_chunks;
  return min(pairs * cls / classes * pair_chunks, chunks);
}

/// The chunks of a unit on their way to shared memory, a stage after the other.
template <typename S>
struct Ring {
  static constexpr int panel_bytes = S::stage_chunks * S::Coded::chunk_bytes;

  uint32_t memory, full, empty;  ///< addresses in shared memory; barriers of every stage: has come, is read
  const CUtensorMap* box;        ///< the smallest that holds the tile's inputs
  int input_chunk;               ///< its bytes of a chunk
  int end;                       ///< the chunk after the last

  __device__ uint32_t inputs(int stage) const { return memory + stage * (S::stage_chunks * S::input_bytes); }
  __device__ uint32_t weights(int stage) const {
    return memory + S::stages * (S::stage_chunks * S::input_bytes) + stage * (S::panels * panel_bytes);
  }
  /// By one thread.
  __device__ void init() const {
    for (int s = 0; s < S::stages; ++s) {
      init_barrier(full + s * 8, 1);
      init_barrier(empty + s * 8, S::threads / 32);
    }
    publish_barriers();
  }
  __device__ void request_weights(const Unit<S::panels>& unit, int chunk, int stage) const {
    const uint32_t bytes = min(S::stage_chunks, end - chunk) * S::Coded::chunk_bytes;
    arrive_and_expect(full + stage * 8, S::panels * bytes + S::stage_chunks * input_chunk);
#pragma unroll
    for (int p = 0; p < S::panels; ++p)
      copy_bulk(weights(stage) + p * panel_bytes, unit.panels[p] + int64_t(chunk) * S::Coded::chunk_bytes, bytes,
                full + stage * 8);
  }
  /// Of a whole stage: what lies past the last chunk comes as zeros and is not used.
  __device__ void request_inputs(const Unit<S::panels>& unit, int chunk, int stage) const {
    copy_tile(inputs(stage), box, chunk, unit.first_row, full + stage * 8);
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

/// A stage of the ring, and the parity of the barriers' phase.
template <int stages>
struct Place {
  int stage = 0;
  uint32_t parity = 0;

  __device__ void advance() {
    if (++stage == stages) stage = 0, parity ^= 1;
  }
};

/// Asks for the chunks from `begin` to the ring's end: by one thread, the copying warp's.
template <typename S>
__device__ __forceinline__ void fill_ring(const Ring<S>& ring, const Unit<S::panels>& unit, int begin,
                                          bool early) {
  constexpr int step = S::stage_chunks;
  for (int i = 0; early && i < S::stages && begin + i * step < ring.end; ++i)
    ring.request_weights(unit, begin + i * step, i);
  if (early) wait_for_inputs();
  Place<S::stages> at;
  int round = 0;
#pragma unroll 1
  for (int chunk = begin; chunk < ring.end; chunk += step) {
    if (round > 0) wait_for_phase(ring.empty + at.stage * 8, at.parity ^ 1);
    if (round > 0 || !early) ring.request_weights(unit, chunk, at.stage);
    ring.request_inputs(unit, chunk, at.stage);
    at.advance();
    if (at.stage == 0) ++round;
  }
}

/// The unit's sums over classes from the first on, which the ring brings: gives those of every class to
/// add(sums). By the warpgroups.
template <typename S, int class_count, typename Add>
__device__ __forceinline__ void sum_classes(const Ring<S>& ring, const PanelFormat& f, int first_class,
                                            Add&& add) {
  using Coded = typename S::Coded;
  using At = Place<S::stages>;
  constexpr int step = S::stage_chunks;
  const int all_warps = int(uniform(threadIdx.x / 32));  // of the block
  const int group = all_warps / 4, warp = all_warps % 4, chunks = int(f.chunks());
  float sums[S::n_panels][S::tiles][4];
  uint32_t a[2][2][4];  // half a chunk of a panel is unpacked while wgmma takes another
  const auto multiply = [&](int stage, int chunk) {
    if constexpr (Coded::kind == PanelKind::bf16) wait_for_products<0>();  // they take what is loaded as it is
    const uint32_t inputs = inputs_at(ring.inputs(stage) + chunk * ring.input_chunk);
    Chunk<Coded> weights[S::n_panels];
#pragma unroll
    for (int p = 0; p < S::n_panels; ++p)
      weights[p].load(
          ring.weights(stage) + (group * S::n_panels + p) * Ring<S>::panel_bytes + chunk * Coded::chunk_bytes,
          warp, f);
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int p = 0; p < S::n_panels; ++p) {
        uint32_t(&of_half)[2][4] = a[(half * S::n_panels + p) % 2];
        wait_for_products<1>();
#pragma unroll
        for (int m = 0; m < 2; ++m) weights[p].weights(half * 2 + m, of_half[m]);
        begin_products();
#pragma unroll
        for (int m = 0; m < 2; ++m) multiply_group(sums[p], of_half[m], inputs + (half * 2 + m) * (32 / 16));
        commit_products();
      }
  };

  At at, before;  // this stage, the one before
  bool first = true;
#pragma unroll 1
  for (int i = 0; i < class_count; ++i) {
    const int cls = first_class + i;
    for_each_quad<S>([&](int p, int n) { sums[p][n][0] = sums[p][n][1] = sums[p][n][2] = sums[p][n][3] = 0; });
    fence(sums);
    const int class_end = first_chunk(cls + 1, chunks);
#pragma unroll 1
    for (int chunk = first_chunk(cls, chunks); chunk < class_end; chunk += step) {
      wait_for_phase(ring.full + at.stage * 8, at.parity);
      multiply(at.stage, 0);
      // Of the products on the stage before none runs any more.
      if (!first && threadIdx.x % 32 == 0) arrive(ring.empty + before.stage * 8);
      first = false;
      if (step == 2 && chunk + 1 < class_end) multiply(at.stage, 1);
      before = at;
      at.advance();
    }
    wait_for_products<0>();
    fence(sums);
    add(sums);
  }
}

/// One unit. `Product` says what it is:
///   matrices                2: a unit's value is of two matrices' panels; they are of one warpgroup, or, where
///                           those have one panel each, of two: one half of the warpgroups has the first matrix's
///   format()                of its matrices
///   early                   whether find() depends on no kernel before this one
///   find<S>(unit)           the unit by blockIdx; false: there is none
///   put(token, index, row, values)   by the thread that has them: values of a token in a row of each of the
///                                    panels that belong together, which are counted over all blocks of x
/// Where a row's results take the sums of another, too, its partner, row ^ partner_rows of the panel, a product,
/// of one panel a warpgroup, has in place of put():
///   Row row(index, row)       what is the same for all tokens of a row
///   Angle angle(token, Row)   what a token adds, loaded before the sums are there
///   put(token, Row, Angle, sum, partner's sum)
constexpr int partner_rows = 32, partner_threads = partner_rows / fragment_rows * 32;

template <typename S, typename Product>
constexpr bool paired = Product::matrices == 2 && S::n_panels == 1;
template <typename Product>
constexpr bool in_pairs = requires {
  typename Product::Row;
};

template <typename S, bool split, typename Product>
__device__ __forceinline__ void multiply_panels(Product& product, const InputTiles& tiles) {
  static_assert(!in_pairs<Product> || (Product::matrices == 1 && S::n_panels == 1));
  extern __shared__ __align__(1024) std::byte product_memory[];
  __shared__ __align__(8) uint64_t barriers[2 * S::stages];
  // The next kernel may read what the one before this has written: only once that is there.
  if constexpr (!Product::early) wait_for_inputs();
  let_next_start();
  Unit<S::panels> unit;
  if (!product.template find<S>(unit)) return;
  const PanelFormat& f = product.format();
  const int first_class = split ? int(blockIdx.z) : 0;
  constexpr int class_count = split ? 1 : classes;
  const uint32_t memory = uniform((shared_address(product_memory) + 1023) & ~1023u);
  const uint32_t of_barriers = uniform(shared_address(barriers));
  int box = 0;
  while (tiles.rows(box) < unit.tokens) ++box;
  const Ring<S> ring{.memory = memory,
                     .full = of_barriers,
                     .empty = of_barriers + S::stages * 8,
                     .box = &tiles.boxes[box],
                     .input_chunk = tiles.rows(box) * chunk_columns * 2,
                     .end = first_chunk(first_class + class_count, int(f.chunks()))};
  if (threadIdx.x == 0) ring.init();
  __syncthreads();
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32 % 4, group = thread / group_threads;
  // Four sums of a thread: where totals lie, if they do, or else go when the ring is done with.
  auto* const kept = reinterpret_cast<float4*>(product_memory + (memory - shared_address(product_memory)) +
                                               (S::totals_in_memory ? S::ring_bytes : 0));
  const auto at = [](int p, int n, int of) { return (p * S::tiles + n) * S::threads + of; };
  const auto row_of = [&](int i) { return warp * fragment_rows + lane / 4 + i / 2 * 8; };
  const auto put = [&](int n, int i, int index, const auto& values) {
    if constexpr (!in_pairs<Product>) {
      const int token = n * 8 + lane % 4 * 2 + i % 2;
      if (token < unit.tokens) product.put(token, index, row_of(i), values);
    }
  };

  float4 totals[S::n_panels][S::totals_in_memory ? 1 : S::tiles];
  const auto total_of = [&](int p, int n) -> float4& {
    return S::totals_in_memory ? kept[at(p, n, thread)] : totals[p][S::totals_in_memory ? 0 : n];
  };
  const bool copies = int(uniform(threadIdx.x / 32)) == S::threads / 32;
  if (copies) {
    if (elect_one()) fill_ring<S>(ring, unit, first_chunk(first_class, int(f.chunks())), Product::early);
    __syncwarp();
  } else {
    if constexpr (Product::early) wait_for_inputs();  // for what is added in the end
    for_each_quad<S>([&](int p, int n) { total_of(p, n) = {0, 0, 0, 0}; });
    sum_classes<S, class_count>(ring, f, first_class, [&](const Sums<S>& sums) {
      for_each_quad<S>([&](int p, int n) {
        float4& total = total_of(p, n);
        total = {total.x + sums[p][n][0], total.y + sums[p][n][1], total.z + sums[p][n][2],
                 total.w + sums[p][n][3]};
        if constexpr (S::totals_in_memory) asm volatile("" ::: "memory");  // or too many are under way
      });
    });
  }

  if constexpr (split || paired<S, Product> || in_pairs<Product>) {
    __syncthreads();  // the ring is done with
    if constexpr (!S::totals_in_memory)
      if (!copies) for_each_quad<S>([&](int p, int n) { kept[at(p, n, thread)] = totals[p][n]; });
  }
  if constexpr (split && in_pairs<Product>) {
    // As below; where the sums are there are those of the partner.
    namespace cg = cooperative_groups;
    const auto cluster = cg::this_cluster();
    const int c = int(blockIdx.z), first = lane % 4 * 2 + c % 2;  // token
    const typename Product::Row row = product.row(int(blockIdx.x) * S::groups + group, row_of(c));
    typename Product::Angle angles[S::tiles];
#pragma unroll
    for (int n = 0; n < S::tiles; ++n)
      if (!copies && n * 8 + first < unit.tokens) angles[n] = product.angle(n * 8 + first, row);
    cluster.sync();
    if (copies) return cluster.sync();
    const float4* of_class[classes];
#pragma unroll
    for (int of = 0; of < classes; ++of) of_class[of] = cluster.map_shared_rank(kept, unsigned(of));
    const auto part = [&](int of, int n, int thread_of) {
      return reinterpret_cast<const float*>(&of_class[of][at(0, min(n, S::tiles - 1), thread_of)])[c];
    };
    constexpr int together =
        std::min(S::tiles, 4);  // whose loads are under way at once: other blocks' memory is far
#pragma unroll
    for (int n = 0; n < S::tiles; n += together) {
      float own[together][classes], partners[together][classes];
#pragma unroll
      for (int j = 0; j < together; ++j)
#pragma unroll
        for (int of = 0; of < classes; ++of) {
          own[j][of] = part(of, n + j, thread);
          partners[j][of] = part(of, n + j, thread ^ partner_threads);
        }
#pragma unroll
      for (int j = 0; j < together; ++j) {
        if (n + j >= S::tiles) continue;
        float sum = 0, partner_sum = 0;
#pragma unroll
        for (int of = 0; of < classes; ++of) sum += own[j][of], partner_sum += partners[j][of];
        const int token = (n + j) * 8 + first;
        if (token < unit.tokens) product.put(token, row, angles[n + j], sum, partner_sum);
      }
    }
    cluster.sync();  // the others may still read
  } else if constexpr (split) {
    // Block c finishes elements (n, c) of all, which it adds in the order of the classes.
    namespace cg = cooperative_groups;
    const auto cluster = cg::this_cluster();
    cluster.sync();
    if (copies) return cluster.sync();
    const float4* of_class[classes];
#pragma unroll
    for (int c = 0; c < classes; ++c) of_class[c] = cluster.map_shared_rank(kept, unsigned(c));
    constexpr int together =
        std::min(S::tiles, 4);  // whose loads are under way at once: other blocks' memory is far
#pragma unroll
    for (int first = 0; first < S::tiles; first += together) {
      float parts[together][S::n_panels][classes];
#pragma unroll
      for (int n = 0; n < together; ++n)
#pragma unroll
        for (int p = 0; p < S::n_panels; ++p)
#pragma unroll
          for (int c = 0; c < classes; ++c)
            parts[n][p][c] = reinterpret_cast<const float*>(
                &of_class[c][at(p, min(first + n, S::tiles - 1), thread)])[blockIdx.z];
#pragma unroll
      for (int n = 0; n < together; ++n) {
        float values[S::n_panels];
#pragma unroll
        for (int p = 0; p < S::n_panels; ++p) {
          values[p] = 0;
#pragma unroll
          for (int c = 0; c < classes; ++c) values[p] += parts[n][p][c];
        }
        if (first + n < S::tiles) put(first + n, int(blockIdx.z), int(blockIdx.x) * S::groups + group, values);
      }
    }
    cluster.sync();  // the others may still read
  } else if constexpr (in_pairs<Product>) {
    __syncthreads();
    if (copies) return;
    const int index = int(blockIdx.x) * S::groups + group, first = lane % 4 * 2;  // token
    const typename Product::Row rows[2] = {product.row(index, row_of(0)), product.row(index, row_of(2))};
    using Angles = typename Product::Angle[4];
    const auto load = [&](int n, Angles& angles) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (const int token = n * 8 + first + i % 2; token < unit.tokens)
          angles[i] = product.angle(token, rows[i / 2]);
    };
    Angles angles, next;
    load(0, next);
#pragma unroll 1
    for (int n = 0; n < S::tiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) angles[i] = next[i];
      load(n + 1, next);  // before anything is stored that would have to be waited for
      const float4 sums = kept[at(0, n, thread)], partner_sums = kept[at(0, n, thread ^ partner_threads)];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (const int token = n * 8 + first + i % 2; token < unit.tokens)
          product.put(token, rows[i / 2], angles[i], element(sums, i), element(partner_sums, i));
    }
  } else if constexpr (paired<S, Product>) {
    // Each half of the warpgroups finishes half of the tokens.
    constexpr int pairs = S::groups / 2, half = (S::tiles + 1) / 2;
    __syncthreads();
    if (copies) return;
    const int first = thread % (S::threads / 2);
#pragma unroll 1
    for (int of = group / pairs * half; of < min(group / pairs * half + half, S::tiles); ++of) {
      const float4 a = kept[at(0, of, first)], b = kept[at(0, of, first + S::threads / 2)];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float values[2] = {element(a, i), element(b, i)};
        put(of, i, int(blockIdx.x) * pairs + group % pairs, values);
      }
    }
  } else {
    if (copies) return;
#pragma unroll
    for (int n = 0; n < S::tiles; ++n) {
      float4 of_panels[S::n_panels];
#pragma unroll
      for (int p = 0; p < S::n_panels; ++p) of_panels[p] = total_of(p, n);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float values[S::n_panels];
#pragma unroll
        for (int p = 0; p < S::n_panels; ++p) values[p] = element(of_panels[p], i);
        put(n, i, int(blockIdx.x) * S::groups + group, values);
      }
    }
  }
}

template <typename S, typename Product>
__global__ void __launch_bounds__(S::block_threads, S::blocks)
    product_kernel(Product product, const __grid_constant__ InputTiles tiles) {
  multiply_panels<S, false>(product, tiles);
}
template <typename S, typename Product>
__global__ void __cluster_dims__(1, 1, classes) __launch_bounds__(S::block_threads, S::blocks)
    split_product_kernel(Product product, const __grid_constant__ InputTiles tiles) {
  multiply_panels<S, true>(product, tiles);
}

template <typename S, typename Split, typename Product>
void CudaBackend::launch_product(const char* name, int64_t wanted, int64_t tiles, const Rows16& inputs,
                                 const Product& product) {
  const auto grid_of = [&]<typename Of>() {
    constexpr int of_a_block = paired<Of, Product> ? Of::groups / 2 : Of::groups;
    return Grid{.x = (wanted + of_a_block - 1) / of_a_block,
                .y = tiles,
                .threads = Of::block_threads,
                .shared_bytes = Of::shared_bytes,
                .overlap = true};
  };
  const Grid whole = grid_of.template operator()<S>();
  if constexpr (!std::is_void_v<Split>) {
    if (whole.x * whole.y * 2 <= processors_ * S::blocks) {  // or half of the device would have nothing to do
      Grid grid = grid_of.template operator()<Split>();
      grid.z = classes;
      return launch(name, split_product_kernel<Split, Product>, grid, product,
                    input_tiles(inputs, Split::n_tokens, Split::stage_chunks));
    }
  }
  launch(name, product_kernel<S, Product>, whole, product, input_tiles(inputs, S::n_tokens, S::stage_chunks));
}

}  // namespace chorus::cuda
