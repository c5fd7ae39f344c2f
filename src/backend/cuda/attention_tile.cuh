// Attention of up to 16 queries to 64 keys by one warp, on the tensor cores.
//
// A query is a (token, head) pair; the heads that share a kv head fill the rows of a tile. Keys are the columns of
// the first product; its sums, made weights and rounded to bf16, are at once the rows of the second, whose columns
// are dimensions of the values. Rows do not mix anywhere, and what a row does not see enters with weight 0: its
// result depends neither on the other rows of its tile nor on keys that only they see.
#pragma once

#include <climits>

#include "backend/cuda/device.cuh"
#include "backend/cuda/kv_layout.h"
#include "backend/cuda/instructions.cuh"

namespace chorus::cuda {

constexpr int tile_pages = 4, tile_keys = tile_pages * kv_block_tokens, tile_rows = 16;

/// Keys, both ends included.
struct Span {
  int low, high;
};

/// The weights' sum and the weighted values' sums over some keys, for a lane's two rows of a tile, relative to the
/// largest score. Scores are to base 2.
template <int slices>
struct Sums {
  float values[slices][2][4];  // [slice of dimensions][mma][row * 2 + column]
  float largest[2], weight[2];

  __device__ void clear() {
#pragma unroll
    for (int s = 0; s < slices; ++s)
      for (int i = 0; i < 8; ++i) values[s][i / 4][i % 4] = 0;
    for (int r = 0; r < 2; ++r) largest[r] = -INFINITY, weight[r] = 0;
  }

  /// While keys are taken in, a lane has the weights of its own columns alone.
  __device__ void gather_weights() {
    for (float& w : weight) {
      w += __shfl_xor_sync(all_lanes, w, 1);
      w += __shfl_xor_sync(all_lanes, w, 2);
    }
  }

  /// Takes in the sums over later keys.
  __device__ void fold(const Sums& later) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float both = fmaxf(largest[r], later.largest[r]), base = both == -INFINITY ? 0 : both;
      const float old = exp2_of(largest[r] - base), fresh = exp2_of(later.largest[r] - base);
      largest[r] = both;
      weight[r] = fmaf(weight[r], old, later.weight[r] * fresh);
#pragma unroll
      for (int s = 0; s < slices; ++s)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& v = values[s][i / 2][r * 2 + i % 2];
          v = fmaf(v, old, later.values[s][i / 2][r * 2 + i % 2] * fresh);
        }
    }
  }

  /// What the values' sums are multiplied by in the end. sink: one more score, minus infinity for none.
  __device__ float scale(int r, float sink) const {
    const float base = fmaxf(largest[r], sink), own = exp2_of(largest[r] - base);
    return own / fmaf(weight[r], own, exp2_of(sink - base));
  }

  /// A row's four neighbouring dimensions of a slice.
  __device__ float4 dims(int s, int r) const {
    return {values[s][0][r * 2], values[s][0][r * 2 + 1], values[s][1][r * 2], values[s][1][r * 2 + 1]};
  }
  __device__ void set_dims(int s, int r, float4 v) {
    values[s][0][r * 2] = v.x, values[s][0][r * 2 + 1] = v.y;
    values[s][1][r * 2] = v.z, values[s][1][r * 2 + 1] = v.w;
  }
};

/// Registers A of the queries, slice by slice.
template <int slices>
struct Queries {
  uint32_t a[slices][4];

  __device__ auto& get(int s) { return a[s]; }
  __device__ const auto& get(int s) const { return a[s]; }
};
/// Queries of any width, in shared memory.
template <>
struct Queries<0> {
  uint32_t (*a)[32][4];  // [slice][lane]

  __device__ auto& get(int s) const { return a[s][threadIdx.x % 32]; }
};

/// 64 keys and values in shared memory, as kv_layout.h has them.
struct Tile {
  const uint4 *keys,
      *values;  ///< [page][slice][lane]: this lane's; values: from the first slice that is wanted on
  int first_key;
  Span present;  ///< keys of the row that are there; anything may lie in the others' places
};

/// A lane's two rows.
struct Rows {
  int high[2];    ///< the last key that each sees, -1 for no query
  float sink[2];  ///< one more score, to base 2; minus infinity for none
  int window;

  /// The first and the last key that a row sees.
  __device__ Span seen(int r) const {
    return {window > 0 && high[r] >= window ? high[r] + 1 - window : 0, high[r]};
  }
};

/// Makes a row's scores weights, in place, and scales what was summed before to the new largest score.
template <int outs>
__device__ inline void weigh(float (&scores)[tile_pages][2][4], int r, float scale, Sums<outs>& sums) {
  float top = -INFINITY;
#pragma unroll
  for (int i = 0; i < tile_pages * 4; ++i) top = fmaxf(top, scores[i / 4][i % 4 / 2][r * 2 + i % 2]);
  top = fmaxf(top, __shfl_xor_sync(all_lanes, top, 1));
  top = fmaxf(top, __shfl_xor_sync(all_lanes, top, 2));
  const float largest = fmaxf(sums.largest[r], top * scale), base = largest == -INFINITY ? 0 : largest;
  const float old = exp2_of(sums.largest[r] - base);
  float weight = sums.weight[r] * old;
#pragma unroll
  for (int i = 0; i < tile_pages * 4; ++i) {
    float& score = scores[i / 4][i % 4 / 2][r * 2 + i % 2];
    score = exp2_of(fmaf(score, scale, -base));
    weight += score;
  }
  sums.largest[r] = largest;
  sums.weight[r] = weight;
#pragma unroll
  for (int s = 0; s < outs; ++s)
#pragma unroll
    for (int i = 0; i < 4; ++i) sums.values[s][i / 2][r * 2 + i % 2] *= old;
}

/// use(i, load(i)) for i = 0, 1, ...; loads are some steps ahead of their use.
template <int steps, typename Load, typename Use>
__device__ inline void load_ahead(Load&& load, Use&& use) {
  constexpr int ahead = 4;
  uint4 loaded[ahead];
#pragma unroll
  for (int i = 0; i < ahead; ++i) loaded[i] = load(i);
#pragma unroll
  for (int i = 0; i < steps; ++i) {
    const uint4 v = loaded[i % ahead];
    if (i + ahead < steps) loaded[i % ahead] = load(i + ahead);
    use(i, v);
  }
}

/// Products of the queries and the tile's keys.
template <int slices>
__device__ inline void score(const Queries<slices>& q, const Tile& tile, int any_slices,
                             float (&scores)[tile_pages][2][4]) {
  const auto add = [&](int s, int page, uint4 key) {
    if (s == 0) {
      multiply_first(scores[page][0], q.get(s), key.x, key.y);
      multiply_first(scores[page][1], q.get(s), key.z, key.w);
    } else {
      multiply(scores[page][0], q.get(s), key.x, key.y);
      multiply(scores[page][1], q.get(s), key.z, key.w);
    }
  };
  if constexpr (slices > 0)
    load_ahead<slices * tile_pages>(
        [&](int i) { return tile.keys[(i % tile_pages * slices + i / tile_pages) * 32]; },
        [&](int i, uint4 key) { add(i / tile_pages, i % tile_pages, key); });
  else
    for (int s = 0; s < any_slices; ++s)
      load_ahead<tile_pages>([&](int page) { return tile.keys[(page * any_slices + s) * 32]; },
                             [&](int page, uint4 key) { add(s, page, key); });
}

/// Adds the tile's keys to the sums. whole: every query sees all of them. any_slices: of a key; out_slices: how
/// many of `outs` there are.
template <bool whole, int outs, int slices>
__device__ inline void attend(const Queries<slices>& q, const Tile& tile, const Rows& rows, float scale,
                              int any_slices, int out_slices, Sums<outs>& sums) {
  const int own = int(threadIdx.x) % 4 * 4;  // first of the lane's four keys in every page
  float scores[tile_pages][2][4];
  score(q, tile, any_slices, scores);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (!whole) {
      const Span seen = rows.seen(r);
      const int low = seen.low - tile.first_key - own, high = seen.high - tile.first_key - own;
#pragma unroll
      for (int i = 0; i < tile_pages * 4; ++i) {
        const int key = i / 4 * kv_block_tokens + i % 4;
        if (key < low || key > high) scores[i / 4][i % 4 / 2][r * 2 + i % 2] = -INFINITY;
      }
    }
    weigh(scores, r, scale, sums);
  }
  const Span present{tile.present.low - tile.first_key, tile.present.high - tile.first_key};
  uint32_t weights[4];                      // a page's, as registers A
  uint32_t mask[2] = {UINT_MAX, UINT_MAX};  // of a page's values: what lies where no key is may be a NaN
  const int value_slices = slices > 0 ? slices : any_slices;
  load_ahead<tile_pages * outs>(
      [&](int i) { return tile.values[(i / outs * value_slices + min(i % outs, out_slices - 1)) * 32]; },
      [&](int i, uint4 value) {
        const int page = i / outs, s = i % outs;
        if (s == 0) {
          for (int j = 0; j < 4; ++j)
            weights[j] = bf16_pair(scores[page][j / 2][j % 2 * 2], scores[page][j / 2][j % 2 * 2 + 1]);
          if (!whole)
            for (int j = 0; j < 2; ++j) {
              const int key = page * kv_block_tokens + own + j * 2;
              mask[j] = (key >= present.low && key <= present.high ? 0xffffu : 0) |
                        (key + 1 >= present.low && key + 1 <= present.high ? 0xffff0000u : 0);
            }
        }
        if (s >= out_slices) return;
        if (!whole) value.x &= mask[0], value.y &= mask[1], value.z &= mask[0], value.w &= mask[1];
        multiply(sums.values[s][0], weights, value.x, value.y);
        multiply(sums.values[s][1], weights, value.z, value.w);
      });
}

}  // namespace chorus::cuda
