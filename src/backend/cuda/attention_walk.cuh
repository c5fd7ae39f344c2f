// What the kernels of attention share: which queries a warp has, where their keys are, and the walk through them.
#pragma once

#include "backend/cuda/kv_ring.cuh"

namespace chorus::cuda {

constexpr float log2_e = 1.44269504f;

// The further back, the longer: the number of segments stays small in any context.
constexpr int segment_of(int position) {
  if (position < 4096) return position / 256;
  return position < 16384 ? 16 + (position - 4096) / 1024 : 28 + (position - 16384) / 2048;
}
constexpr int segment_begin(int segment) {
  if (segment < 16) return segment * 256;
  return segment < 28 ? 4096 + (segment - 16) * 1024 : 16384 + (segment - 28) * 2048;
}

struct AttentionArgs {
  const void* q;
  void* out;
  const std::byte *keys, *values;
  const int32_t *positions, *row_of_token, *tables, *first_block;
  const float* sinks;  ///< or null
  float* partial;      ///< [tokens][groups][segments] Sums; null: a warp goes through all of a token's
  int32_t* arrivals;   ///< [tokens][groups] zeros: warps that have put their part
  int tokens, heads, kv_heads, dim, table_stride, window;
  int chunks, chunk_heads;  ///< a kv head's query heads go in chunks of at most 16
  int passes;               ///< in which the dimensions are summed
  int segments;             ///< that a token sees at most
  int tile_tokens;          ///< of the kernel for many tokens of a row; 0: it does not run
  int least_tokens;         ///< of one row that it takes
  int own_tokens;           ///< the first ones, which have a thread block of their own in the other kernel
  bool one_token_rows;      ///< no row has more than one token
  int stages;
  float scale;  ///< of a score to base 2
  bool q_bf16, out_bf16;

  __device__ int groups() const { return kv_heads * chunks * passes; }
  __device__ int page_bytes() const { return kv_block_tokens * dim * 2; }
  __device__ int first_key(int position) const {
    return window > 0 && position >= window ? position + 1 - window : 0;
  }
  __device__ int parts() const { return partial != nullptr ? segments : 1; }
  __device__ Pages pages(int row, int kv_head, Span keys_seen) const {
    const int64_t head = int64_t(kv_head) * page_bytes();
    return {.keys = keys + head,
            .values = values + head,
            .block_bytes = int64_t(kv_heads) * page_bytes(),
            .table = tables + int64_t(row) * table_stride,
            .first_page = first_block[row],
            .seen = {keys_seen.low / kv_block_tokens, keys_seen.high / kv_block_tokens}};
  }
};

/// What a warp works on: queries of one chunk of heads.
struct Place {
  int kv_head, chunk, pass;
  int first_token, end_token;  ///< the tile's first row is the first token's; past the end there are none

  __device__ static Place of_group(const AttentionArgs& a, int group) {
    return {.kv_head = group / (a.chunks * a.passes),
            .chunk = group / a.passes % a.chunks,
            .pass = group % a.passes,
            .first_token = 0,
            .end_token = 0};
  }
  /// Token and head of a row as an index into [tokens, heads], or -1.
  __device__ int query(const AttentionArgs& a, int row) const {
    const int token = first_token + row / a.chunk_heads, head = chunk * a.chunk_heads + row % a.chunk_heads;
    const int group_heads = a.heads / a.kv_heads;
    return token < end_token && head < group_heads ? token * a.heads + kv_head * group_heads + head : -1;
  }
};
__device__ inline int lane_row(int r) {
  return r * 8 + int(threadIdx.x) % 32 / 4;
}

/// Two neighbouring dimensions of a query in bf16.
__device__ inline uint32_t query_pair(const AttentionArgs& a, int query, int dim) {
  if (query < 0) return 0;
  const int64_t at = int64_t(query) * a.dim + dim;
  if (a.q_bf16) return *reinterpret_cast<const uint32_t*>(static_cast<const uint16_t*>(a.q) + at);
  const float2 v = *reinterpret_cast<const float2*>(static_cast<const float*>(a.q) + at);
  return bf16_pair(v.x, v.y);
}

template <int slices>
__device__ inline void load(const AttentionArgs& a, const Place& place, Queries<slices>& q, Rows& rows) {
  const int own = int(threadIdx.x) % 4 * 4;
  rows.window = a.window;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int query = place.query(a, lane_row(r));
    rows.high[r] = query < 0 ? -1 : a.positions[query / a.heads];
    rows.sink[r] = query < 0 || a.sinks == nullptr ? -INFINITY : a.sinks[query % a.heads] * log2_e;
#pragma unroll
    for (int s = 0; s < (slices > 0 ? slices : a.dim / kv_slice_dims); ++s)
      for (int i = 0; i < 2; ++i) q.get(s)[i * 2 + r] = query_pair(a, query, s * kv_slice_dims + own + i * 2);
  }
}

template <int outs>
__device__ inline void write(const AttentionArgs& a, const Place& place, const Rows& rows,
                             const Sums<outs>& sums) {
  const int own = int(threadIdx.x) % 4 * 4, first_slice = place.pass * outs;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int query = place.query(a, lane_row(r));
    if (query < 0) continue;
    const float scale = sums.scale(r, rows.sink[r]);
#pragma unroll
    for (int s = 0; s < outs; ++s) {
      if ((first_slice + s) * kv_slice_dims >= a.dim) break;
      const int64_t at = int64_t(query) * a.dim + (first_slice + s) * kv_slice_dims + own;
      float4 v = sums.dims(s, r);
      v.x *= scale, v.y *= scale, v.z *= scale, v.w *= scale;
      if (a.out_bf16)
        *reinterpret_cast<uint2*>(static_cast<uint16_t*>(a.out) + at) = {bf16_pair(v.x, v.y), bf16_pair(v.z, v.w)};
      else
        *reinterpret_cast<float4*>(static_cast<float*>(a.out) + at) = v;
    }
  }
}

/// Asks for the first tiles of keys. By the warp that puts them. Keys from position `fresh` on may come from this
/// step.
template <int warps>
__device__ inline void start(const AttentionArgs& a, RingWriter<warps>& writer, const Pages& pages, Span keys,
                             int fresh) {
  const int first = keys.low / tile_keys, last = keys.high / tile_keys;
  writer.open(pages, first);
  for (int t = first; t <= last && t < first + a.stages; ++t) {
    if ((t + 1) * tile_keys > fresh) wait_for_inputs();
    writer.put(t);
  }
}

/// Goes through the keys, a segment at a time, and folds what the warp's queries see of them into `total`. The
/// first tiles are asked for.
template <int slices, int outs, int warps>
__device__ inline void walk(const AttentionArgs& a, const Place& place, RingWriter<warps>& writer,
                            RingReader<warps>& reader, Span keys, const Queries<slices>& q, const Rows& rows,
                            Sums<outs>& total) {
  const bool puts = warps == 1 || threadIdx.x < 32;
  const int first = keys.low / tile_keys, last = keys.high / tile_keys, lane = int(threadIdx.x) % 32;
  Span any{INT_MAX, -1}, all{0, INT_MAX};  // keys that one of the warp's queries sees, and that all of them do
  for (int r = 0; r < 2; ++r) {
    const Span seen = rows.seen(r);
    if (seen.high < 0) continue;
    any.low = min(any.low, seen.low), any.high = max(any.high, seen.high);
    all.low = max(all.low, seen.low), all.high = min(all.high, seen.high);
  }
  any.low = __reduce_min_sync(all_lanes, any.low), any.high = __reduce_max_sync(all_lanes, any.high);
  all.low = __reduce_max_sync(all_lanes, all.low), all.high = __reduce_min_sync(all_lanes, all.high);

  const int key_slices = slices > 0 ? slices : a.dim / kv_slice_dims,
            first_slice = slices > 0 ? 0 : place.pass * outs;
  const int out_slices = slices > 0 ? outs : min(outs, key_slices - first_slice);
  Sums<outs> segment;
  segment.clear();
  int end = segment_begin(segment_of(keys.low) + 1) / tile_keys;
  for (int t = first; t <= last; ++t) {
    if (puts && t > first && t - 1 + a.stages <= last) writer.put(t - 1 + a.stages);
    const uint4* const memory = reader.take() + lane;
    const int first_key = t * tile_keys, last_key = first_key + tile_keys - 1;
    const Tile tile{.keys = memory,
                    .values = memory + (tile_pages * key_slices + first_slice) * 32,
                    .first_key = first_key,
                    .present = keys};
    if (first_key >= all.low && last_key <= all.high)
      attend<true>(q, tile, rows, a.scale, key_slices, out_slices, segment);
    else if (first_key <= any.high && last_key >= any.low)
      attend<false>(q, tile, rows, a.scale, key_slices, out_slices, segment);
    reader.release();
    if (t + 1 == end || t == last) {
      end = segment_begin(segment_of(first_key + tile_keys) + 1) / tile_keys;
      segment.gather_weights();
      total.fold(segment);
      segment.clear();
    }
  }
}

}  // namespace chorus::cuda
