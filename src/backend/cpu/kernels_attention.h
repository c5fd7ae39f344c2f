#pragma once

// Part of kernels_impl.h: attention over paged keys and values.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/kernels_tokens.h"

namespace chorus::cpu {
namespace {

constexpr int64_t key_block = 16;            // keys of a kv block, one a lane
constexpr int64_t key_tile = 8 * key_block;  // keys between two updates of the running maximum

template <typename T>
struct KvBlock {
  const T *keys, *values;
};
template <typename T>
KvBlock<T> block_at(const AttentionRows& a, int64_t block) {
  const int64_t offset = int64_t(a.blocks[block - a.first_block]) * a.block_stride;
  return {static_cast<const T*>(a.keys) + offset, static_cast<const T*>(a.values) + offset};
}

/// The running softmax of one token.
struct Softmax {
  float top[max_heads_per_kv_head], total[max_heads_per_kv_head];
};

/// One token and the keys of one tile that it sees: positions from..to - 1.
struct TileOfToken {
  const float* q;
  float* out;
  int64_t from, to;
};

/// scores[h * key_tile + key] for the keys of one block, several heads at a time so that a key is loaded once.
/// `ask`: meanwhile asks for a block that comes later. Blocks are scattered, so the processor does not guess it.
template <typename T, int heads, bool ask>
void score_block(const float* q, int64_t dim, const T* keys, const KvBlock<T>& later, float* scores) {
  F acc[heads];
  for (F& s : acc) s = simd::set1(0.f);
  for (int64_t d = 0; d < dim; ++d) {
    if constexpr (ask) {
      prefetch(later.keys + d * key_block);
      prefetch(later.values + d * key_block);
    }
    const F k = simd::load(keys + d * key_block);
#pragma GCC unroll 8
    for (int h = 0; h < heads; ++h) acc[h] = simd::fma(simd::set1(q[h * dim + d]), k, acc[h]);
  }
  for (int h = 0; h < heads; ++h) simd::store(scores + h * key_tile, acc[h]);
}

/// Adds the values of the tile's keys to 16 dimensions of several heads, so that a value is loaded once.
template <typename T, int heads>
void add_values(const AttentionRows& a, const TileOfToken& t, int64_t tile, int64_t h, int64_t d,
                const float* weights) {
  F acc[heads];
#pragma GCC unroll 8
  for (int i = 0; i < heads; ++i) acc[i] = simd::load(t.out + (h + i) * a.dim + d);
  for (int64_t p = t.from; p < t.to;) {  // slots past the last key hold anything, a NaN too
    const int64_t end = std::min(t.to, (p / key_block + 1) * key_block);
    const T* values = block_at<T>(a, p / key_block).values + p % key_block * a.dim + d;
    const float* w = weights + h * key_tile + p - tile;
    for (; p < end; ++p, values += a.dim, ++w) {
      const F v = simd::load(values);
#pragma GCC unroll 8
      for (int i = 0; i < heads; ++i) acc[i] = simd::fma(simd::set1(w[i * key_tile]), v, acc[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < heads; ++i) simd::store(t.out + (h + i) * a.dim + d, acc[i]);
}

template <typename T, bool ask>
void attend_tile(const AttentionRows& a, const TileOfToken& t, int64_t tile, Softmax& softmax, float* scores) {
  const int64_t lanes_from = t.from / key_block * key_block,
                lanes_to = (t.to + key_block - 1) / key_block * key_block;
  const int64_t last_block = (a.position + a.tokens - 1) / key_block;
  for (int64_t p = lanes_from; p < lanes_to; p += key_block) {
    const T* keys = block_at<T>(a, p / key_block).keys;
    const KvBlock<T> later = block_at<T>(a, std::min((p + key_tile) / key_block, last_block));
    float* s = scores + p - tile;
    int64_t h = 0;
    for (; h + simd::head_tile <= a.heads; h += simd::head_tile)
      score_block<T, simd::head_tile, ask>(t.q + h * a.dim, a.dim, keys, later, s + h * key_tile);
    for (; h < a.heads; ++h) score_block<T, 1, ask>(t.q + h * a.dim, a.dim, keys, later, s + h * key_tile);
  }
  for (int64_t h = 0; h < a.heads; ++h) {
    float* s = scores + h * key_tile - tile;  // indexed by position
    std::fill(s + lanes_from, s + t.from, -std::numeric_limits<float>::infinity());
    std::fill(s + t.to, s + lanes_to, -std::numeric_limits<float>::infinity());
    F best = simd::load(s + lanes_from);
    for (int64_t p = lanes_from + key_block; p < lanes_to; p += key_block)
      best = simd::max(best, simd::load(s + p));
    const float top = std::max(softmax.top[h], simd::max_of(best));
    for (int64_t p = lanes_from; p < lanes_to; p += key_block)
      simd::store(s + p, exp(simd::add(simd::load(s + p), simd::set1(-top))));
    std::fill(s + lanes_from, s + t.from, 0.f);
    std::fill(s + t.to, s + lanes_to, 0.f);
    F sums = simd::set1(0.f);
    for (int64_t p = lanes_from; p < lanes_to; p += key_block) sums = simd::add(sums, simd::load(s + p));
    const float shrink = std::exp(softmax.top[h] - top);
    softmax.total[h] = softmax.total[h] * shrink + simd::sum(sums);
    softmax.top[h] = top;
    float* out = t.out + h * a.dim;
    for (int64_t d = 0; d < a.dim; d += 16)
      simd::store(out + d, simd::mul(simd::load(out + d), simd::set1(shrink)));
  }
  for (int64_t d = 0; d < a.dim; d += 16) {
    int64_t h = 0;
    for (; h + simd::head_tile <= a.heads; h += simd::head_tile)
      add_values<T, simd::head_tile>(a, t, tile, h, d, scores);
    for (; h < a.heads; ++h) add_values<T, 1>(a, t, tile, h, d, scores);
  }
}

/// Online softmax (Milakov, Gimelshein 2018) over tiles that begin at multiples of key_tile positions; a tile's
/// keys and values serve all tokens while they are in the cache.
template <typename T>
void attention(const AttentionRows& a) {
  alignas(64) float scores[max_heads_per_kv_head * key_tile];
  Softmax softmax[max_attention_tokens];
  const auto first_seen = [&](int64_t position) {
    return a.window > 0 ? std::max<int64_t>(0, position - a.window + 1) : 0;
  };
  for (int64_t t = 0; t < a.tokens; ++t) {
    for (int64_t h = 0; h < a.heads; ++h) {
      softmax[t].top[h] = a.sinks != nullptr ? a.sinks[h] : -std::numeric_limits<float>::infinity();
      softmax[t].total[h] = a.sinks != nullptr ? 1.f : 0.f;  // e^(sink - top)
    }
    std::fill_n(a.out + t * a.q_stride, a.heads * a.dim, 0.f);
  }
  const int64_t last = a.position + a.tokens - 1;
  for (int64_t tile = first_seen(a.position) / key_tile * key_tile; tile <= last; tile += key_tile)
    for (int64_t t = 0; t < a.tokens; ++t) {
      const int64_t position = a.position + t;
      const TileOfToken part{.q = a.q + t * a.q_stride,
                             .out = a.out + t * a.q_stride,
                             .from = std::max(first_seen(position), tile),
                             .to = std::min(position + 1, tile + key_tile)};
      if (part.from >= part.to) continue;
      if (t == 0)
        attend_tile<T, true>(a, part, tile, softmax[t], scores);
      else
        attend_tile<T, false>(a, part, tile, softmax[t], scores);
    }
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t h = 0; h < a.heads; ++h)
      for (int64_t d = 0; d < a.dim; d += 16) {
        float* out = a.out + t * a.q_stride + h * a.dim + d;
        simd::store(out, simd::mul(simd::load(out), simd::set1(1 / softmax[t].total[h])));
      }
}

}  // namespace
}  // namespace chorus::cpu
