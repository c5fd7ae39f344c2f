// Attention over the paged cache on the tensor cores: attention_tile.cuh has the arithmetic, kv_ring.cuh brings
// the keys, kv_layout.h says how they lie in the cache.
//
// Positions are cut into segments whose borders are fixed. Inside a segment keys are summed with a running softmax
// in tiles of 64; segments fold in order. Two kernels do the same sums, so a token gets the same bits from both:
// one takes many tokens of a row at once and goes through all segments (prefill), the other gives each token and
// segment a warp of its own, and the warp that comes last folds them (decode).
#include <bit>

#include "backend/cuda/attention_walk.cuh"

namespace chorus::cuda {
namespace {

constexpr int few_tokens = 4;                          // of a row in a tile: they go one by one
constexpr int64_t partial_bytes = int64_t(80) << 20;  // room for the sums of segments
constexpr int64_t shared_bytes = 228 << 10;            // of a multiprocessor
constexpr int64_t block_bytes = 1280;                  // that a thread block takes beside its tiles
constexpr int wide_slices = 4;                         // dimensions / 16 of a pass, where heads are of any width

/// Segments that a token of a context of this length sees at most; 0: of any. The same for lengths up to the next
/// power of two, so that steps can be repeated as they are.
int most_segments(int64_t longest, int64_t window) {
  const int64_t of_window = window > 0 ? (window + 254) / 256 + 1 : INT_MAX;
  const int64_t of_context = longest > 0 ? segment_of(int(std::bit_ceil(uint64_t(longest))) - 1) + 1 : INT_MAX;
  return int(std::min(of_window, of_context));
}

/// Numbers in the Sums of a segment over so many slices for so many heads.
constexpr int partial_floats(int slices, int heads) {
  return (slices * 4 + 2) * 32 * (heads > 8 ? 2 : 1);
}

/// Sums of one segment as they lie in memory: for rows 0 to 7 of a tile, and for those from 8 on if there are any,
/// what every lane holds.
template <int slices>
struct Partial {
  static constexpr int half_floats = partial_floats(slices, 1);
  float* at;
  int halves;

  __device__ void put(const Sums<slices>& sums) const {
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (r >= halves) break;
      auto* const to = reinterpret_cast<float4*>(at + r * half_floats);
      for (int s = 0; s < slices; ++s) __stcg(to + s * 32 + lane, sums.dims(s, r));
      __stcg(reinterpret_cast<float2*>(to + slices * 32) + lane, make_float2(sums.largest[r], sums.weight[r]));
    }
  }
  __device__ Sums<slices> get() const {
    const int lane = int(threadIdx.x) % 32;
    Sums<slices> sums;
    sums.clear();
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (r >= halves) break;
      const auto* const from = reinterpret_cast<const float4*>(at + r * half_floats);
      for (int s = 0; s < slices; ++s) sums.set_dims(s, r, from[s * 32 + lane]);
      const float2 v = reinterpret_cast<const float2*>(from + slices * 32)[lane];
      sums.largest[r] = v.x, sums.weight[r] = v.y;
    }
    return sums;
  }
};

/// Folds the sums of a token's segments, which are all in device memory. They go through the ring's memory, as
/// many at a time as it holds.
template <int slices>
__device__ inline void fold_all(const AttentionArgs& a, const float* partial, int segments, Sums<slices>& total) {
  const int floats = partial_floats(slices, a.chunk_heads), halves = a.chunk_heads > 8 ? 2 : 1;
  const int held = a.stages * KvRing<1>::tile_bytes(a.page_bytes()) / (floats * 4);
  auto* const memory = reinterpret_cast<float*>(ring_memory);
  total.clear();
  for (int done = 0; done < segments; done += held) {
    const int count = min(held, segments - done);
    const float* const from = partial + int64_t(done) * floats;
    for (int i = int(threadIdx.x) * 4; i < count * floats; i += 32 * 4)
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(memory + i)), "l"(from + i)
                   : "memory");
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncwarp();
    for (int s = 0; s < count; ++s) total.fold(Partial<slices>{memory + s * floats, halves}.get());
    __syncwarp();
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");  // the copy engine may write there next
}

/// How many tokens around this one, in its tile, are of the same row; beyond few_tokens to either side is not
/// looked.
__device__ inline int run_length(const AttentionArgs& a, int token) {
  const int tile = token / a.tile_tokens * a.tile_tokens, end = min(tile + a.tile_tokens, a.tokens);
  const int row = a.row_of_token[token];
  int first = token, last = token;
  while (first > tile && token - first < few_tokens && a.row_of_token[first - 1] == row) --first;
  while (last + 1 < end && last - token < few_tokens && a.row_of_token[last + 1] == row) ++last;
  return last - first + 1;
}

/// One token: all of its keys, or one segment of them, and by the warp that comes last the fold of all.
template <int slices>
__device__ inline void attend_token(const AttentionArgs& a, Place place, int group, int part,
                                    RingWriter<1>& writer, RingReader<1>& reader) {
  constexpr int outs = slices > 0 ? slices : wide_slices;
  const int token = place.first_token, position = a.positions[token];
  Span keys{a.first_key(position), position};
  const int first_segment = segment_of(keys.low), segments = segment_of(position) - first_segment + 1;
  if (a.partial != nullptr) {
    const int segment = first_segment + part;
    if (part >= segments) return;
    keys.low = max(keys.low, segment_begin(segment)), keys.high = min(keys.high, segment_begin(segment + 1) - 1);
  }
  start(a, writer, a.pages(a.row_of_token[token], place.kv_head, keys), keys, a.one_token_rows ? position : 0);
  wait_for_inputs();
  Queries<slices> q;
  if constexpr (slices == 0)
    q.a = reinterpret_cast<uint32_t(*)[32][4]>(ring_memory + a.stages * KvRing<1>::tile_bytes(a.page_bytes()));
  Rows rows;
  load(a, place, q, rows);
  Sums<outs> total;
  total.clear();
  walk<slices, outs, 1>(a, place, writer, reader, keys, q, rows, total);
  if (a.partial != nullptr && segments > 1) {
    const int floats = partial_floats(outs, a.chunk_heads), index = token * a.groups() + group;
    float* const partial = a.partial + int64_t(index) * a.segments * floats;
    Partial<outs>{partial + part * floats, a.chunk_heads > 8 ? 2 : 1}.put(total);
    __threadfence();
    __syncwarp();
    const int before = __shfl_sync(all_lanes, threadIdx.x == 0 ? atomicAdd(a.arrivals + index, 1) : 0, 0);
    if (before != segments - 1) return;
    __threadfence();
    if (threadIdx.x == 0) a.arrivals[index] = 0;  // for the next launch
    fold_all(a, partial, segments, total);
  }
  write(a, place, rows, total);
}

/// A warp a thread block. Grid: (tokens with blocks of their own + the others / 32) * parts * groups.
template <int slices>
__global__ void __launch_bounds__(32, slices == 4 ? 12 : 6) token_kernel(const __grid_constant__ AttentionArgs a) {
  __shared__ KvRing<1> ring;
  let_next_start();
  const int group = int(blockIdx.x) % a.groups(), unit = int(blockIdx.x) / a.groups();
  const int index = unit / a.parts(), part = unit % a.parts(), lane = int(threadIdx.x);
  const int first = index < a.own_tokens ? index : a.own_tokens + (index - a.own_tokens) * 32;
  const bool mine = lane < (index < a.own_tokens ? 1 : 32) && first + lane < a.tokens &&
                    (a.tile_tokens == 0 || run_length(a, first + lane) < a.least_tokens);
  ring.reset(a.stages, a.page_bytes());
  RingWriter<1> writer(ring);
  RingReader<1> reader(ring);
  Place place = Place::of_group(a, group);
  for (uint32_t left = __ballot_sync(all_lanes, mine); left != 0; left &= left - 1) {
    place.first_token = first + __ffs(int(left)) - 1, place.end_token = place.first_token + 1;
    attend_token<slices>(a, place, group, part, writer, reader);
  }
  wait_for_inputs();
}

/// The end of the tokens from `begin` on, before `end`, that are of one row.
__device__ inline int end_of_run(const AttentionArgs& a, int begin, int end) {
  const int row = a.row_of_token[begin], lane = int(threadIdx.x) % 32;
  for (int t = begin; t < end; t += 32) {
    const uint32_t others = __ballot_sync(all_lanes, t + lane >= end || a.row_of_token[t + lane] != row);
    if (others != 0) return t + __ffs(int(others)) - 1;
  }
  return end;
}

/// Tiles of 16 queries a warp. Grid: tiles of tokens * groups, the last tokens, which see most, first.
template <int slices, int warps, int blocks>
__global__ void __launch_bounds__(warps * 32, blocks) tile_kernel(const __grid_constant__ AttentionArgs a) {
  __shared__ KvRing<warps> ring;
  wait_for_inputs();
  let_next_start();
  ring.reset(a.stages, a.page_bytes());
  RingWriter<warps> writer(ring);
  RingReader<warps> reader(ring);
  Place place = Place::of_group(a, int(blockIdx.x) % a.groups());
  const int tile = int(gridDim.x) / a.groups() - 1 - int(blockIdx.x) / a.groups();
  const int end_tile = min((tile + 1) * a.tile_tokens, a.tokens), warp = int(threadIdx.x) / 32;
  for (int begin = tile * a.tile_tokens, end; begin < end_tile; begin = end) {
    end = end_of_run(a, begin, end_tile);
    if (end - begin < a.least_tokens) continue;
    const int warp_tokens = tile_rows / a.chunk_heads;
    place.first_token = begin + warp * warp_tokens, place.end_token = min(end, place.first_token + warp_tokens);
    const Span keys{a.first_key(a.positions[begin]), a.positions[end - 1]};
    if (warp == 0) start(a, writer, a.pages(a.row_of_token[begin], place.kv_head, keys), keys, 0);
    Queries<slices> q;
    Rows rows;
    load(a, place, q, rows);
    Sums<slices> total;
    total.clear();
    walk<slices, slices, warps>(a, place, writer, reader, keys, q, rows, total);
    write(a, place, rows, total);
  }
}

}  // namespace

void CudaBackend::run(const PagedAttention& op) {
  const int64_t tokens = op.q.size(0), heads = op.q.size(1), dim = op.q.size(2), kv_heads = op.kv.kv_heads;
  const int64_t rows = op.block_tables.size(0), table_tokens = op.block_tables.size(1) * kv_block_tokens;
  const auto group_heads = int(heads / kv_heads), chunks = (group_heads + tile_rows - 1) / tile_rows;
  const bool wide = dim != 64 && dim != 128;
  const int outs = wide ? wide_slices : int(dim / kv_slice_dims);
  AttentionArgs a{
      .q = op.q.raw(),
      .out = op.out.raw(),
      .keys = static_cast<const std::byte*>(op.kv.keys.raw()),
      .values = static_cast<const std::byte*>(op.kv.values.raw()),
      .positions = op.positions.data<int32_t>(),
      .row_of_token = op.row_of_token.data<int32_t>(),
      .tables = op.block_tables.data<int32_t>(),
      .first_block = op.first_block.data<int32_t>(),
      .sinks = op.sinks.empty() ? nullptr : op.sinks.data<float>(),
      .partial = nullptr,
      .arrivals = attention_arrivals_.data<int32_t>(),
      .tokens = int(tokens),
      .heads = int(heads),
      .kv_heads = int(kv_heads),
      .dim = int(dim),
      .table_stride = int(op.block_tables.size(1)),
      .window = int(op.window),
      .chunks = chunks,
      .chunk_heads = (group_heads + chunks - 1) / chunks,
      .passes = int(dim / kv_slice_dims + outs - 1) / outs,
      .segments = most_segments(op.longest > 0 || op.window > 0 ? op.longest : table_tokens, op.window),
      .tile_tokens = 0,
      .least_tokens = rows > 1 ? few_tokens + 1 : 1,
      .own_tokens = int(tokens),
      .one_token_rows = tokens == rows,
      .stages = 0,
      .scale = op.scale * log2_e,
      .q_bf16 = op.q.dtype() == DType::bf16,
      .out_bf16 = op.out.dtype() == DType::bf16};

  const Arena::Scope scope(workspace());
  const int64_t groups = kv_heads * a.chunks * a.passes, units = tokens * groups * a.segments;
  const int64_t floats = partial_floats(outs, a.chunk_heads), most_units = partial_bytes / 4 / floats;
  // As much room for any larger step: what is measured with the largest must hold the others.
  float* const partial = workspace().array<float>(std::min(units, most_units) * floats);
  if (workspace().measuring()) return;
  if (a.segments > 1 && units <= most_units) a.partial = partial;

  const int64_t tile_bytes = 2 * tile_pages * kv_block_tokens * dim * 2;
  const auto by_tile = [&]<int slices, int warps, int blocks>() {
    a.own_tokens = int(rows);  // rows that have one token come first
    a.tile_tokens = warps * (tile_rows / a.chunk_heads);
    a.stages = 3;
    launch("attention_tile", tile_kernel<slices, warps, blocks>,
           {.x = (tokens + a.tile_tokens - 1) / a.tile_tokens * groups,
            .threads = warps * 32,
            .shared_bytes = size_t(a.stages * tile_bytes),
            .overlap = true},
           a);
  };
  const auto by_token = [&]<int slices>() {
    const int64_t blocks =
        (a.own_tokens + (tokens - a.own_tokens + 31) / 32) * groups * (a.partial != nullptr ? a.segments : 1);
    const int64_t more_bytes = slices == 0 ? dim / kv_slice_dims * 512 : 0;  // the queries
    // More blocks at a time before more tiles at a time for each.
    a.stages = KvRing<1>::max_stages;
    while (a.stages > 1 &&
           processors_ * (shared_bytes / (a.stages * tile_bytes + more_bytes + block_bytes)) < blocks)
      a.stages /= 2;
    launch(
        "attention_token", token_kernel<slices>,
        {.x = blocks, .threads = 32, .shared_bytes = size_t(a.stages * tile_bytes + more_bytes), .overlap = true},
        a);
  };
  // Tokens that are alone in their row, or nearly, go one by one, in a large step beside the tiles of the others.
  const bool tiles = !wide && tokens > 2 * rows && tokens > 16;
  if (tiles && dim == 64) by_tile.template operator()<4, 8, 2>();
  if (tiles && dim == 128) by_tile.template operator()<8, 8, 1>();
  if (tiles && rows == 1) return;
  if (wide)
    by_token.template operator()<0>();
  else if (dim == 64)
    by_token.template operator()<4>();
  else
    by_token.template operator()<8>();
}

}  // namespace chorus::cuda
