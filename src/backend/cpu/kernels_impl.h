#pragma once

// The inner loops, written once over the sixteen lanes of chorus::cpu::simd. Each kernels_*.cpp includes its
// simd_*.h, then this file, and is compiled for its instruction set; everything is in unnamed namespaces, so that
// no code of one instruction set is ever linked into another's place.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "backend/cpu/kernels.h"

namespace chorus::cpu {
namespace {

using simd::F;
using simd::I;

constexpr int64_t block_columns = 32;  // inputs that share one int8 scale

const uint8_t* bytes(const std::byte* p) {
  return reinterpret_cast<const uint8_t*>(p);
}

// --- matrix panels
// -------------------------------------------------------------------------------------------------

/// The scale and quant_bias vectors of a group of an affine panel.
struct GroupScales {
  F scale, quant_bias;
};
template <typename T>
inline GroupScales group_scales(const std::byte* scales, int64_t group) {
  const T* at = reinterpret_cast<const T*>(scales) + group * 2 * panel_rows;
  return {simd::load(at), simd::load(at + panel_rows)};
}
[[gnu::always_inline]] inline GroupScales group_scales(const PanelFormat& f, const std::byte* panel,
                                                       int64_t group) {
  const std::byte* scales = panel + f.code_bytes();
  return f.wide_scales ? group_scales<float>(scales, group) : group_scales<bf16>(scales, group);
}

/// Columns 4 * four .. 4 * four + 3 of a block of 32, of 16 rows, as unsigned bytes.
template <PanelKind kind, int four>
[[gnu::always_inline]] inline I four_columns(const std::byte* panel, int64_t block) {
  if constexpr (kind == PanelKind::affine8) {
    return simd::load_ints(panel + (block * 8 + four) * 64);
  } else {
    const I both = simd::load_ints(panel + (block * 4 + four / 2) * 64);
    const I codes = four % 2 == 0 ? simd::nibbles_low(both) : simd::nibbles_high(both);
    return kind == PanelKind::mxfp4 ? simd::fp4_to_units(codes) : codes;
  }
}

/// The integer sums of a block for the tokens of a tile. Where registers are many, they keep the block's weights
/// and sums are made one by one; where they are few, they keep all sums and weights come four columns at a time.
template <PanelKind kind, int tokens>
class BlockSums {
 public:
  [[gnu::always_inline]] inline BlockSums(const std::byte* panel, int64_t block, const TokenInputs* x)
      : x_(x), block_(block) {
    unpack(panel, fours());
  }
  [[gnu::always_inline]] inline I operator[](int t) const {
    if constexpr (simd::keeps_sums)
      return kept_[t];
    else
      return sum_up(t, fours());
  }

 private:
  using fours = std::make_integer_sequence<int, 8>;
  static constexpr bool small = kind != PanelKind::affine8;  // bytes of at most 24

  template <int... four>
  [[gnu::always_inline]] inline void unpack(const std::byte* panel, std::integer_sequence<int, four...>) {
    (keep<four>(four_columns<kind, four>(panel, block_)), ...);
  }
  template <int four>
  [[gnu::always_inline]] inline void keep(const I& w) {
    if constexpr (!simd::keeps_sums) {
      kept_[four] = w;
    } else {
#pragma GCC unroll 16
      for (int t = 0; t < tokens; ++t)
        kept_[t] = simd::dot<small, four>(four == 0 ? first_sum(t) : kept_[t], w, codes(t));
    }
  }
  template <int... four>
  [[gnu::always_inline]] inline I sum_up(int t, std::integer_sequence<int, four...>) const {
    I sum = first_sum(t);
    ((sum = simd::dot<small, four>(sum, kept_[four], codes(t))), ...);
    return sum;
  }
  I first_sum(int t) const {
    return simd::first_sum<small>(kind == PanelKind::mxfp4 ? x_[t].offsets[block_] : 0, codes(t));
  }
  const int8_t* codes(int t) const {
    return x_[t].codes + block_ * block_columns;
  }

  const TokenInputs* x_;
  int64_t block_;
  I kept_[simd::keeps_sums ? tokens : 8];
};

/// Asks for the next panel, an equal share with every block of this one. It goes to the L2 cache: two panels would
/// push each other out of the first level.
template <PanelKind kind, bool ahead>
class NextPanel {
 public:
  NextPanel(const PanelFormat& f, const std::byte* next)
      : at_(next), rest_(f.panel_bytes() / line - f.columns / block_columns * lines_per_block) {}
  void fetch_share() {
    if constexpr (ahead) {
      for (int i = 0; i < lines_per_block; ++i) simd::prefetch(at_ + i * line);
      at_ += lines_per_block * line;
      if (rest_-- > 0) {  // the scales' share
        simd::prefetch(at_);
        at_ += line;
      }
    }
  }

 private:
  static constexpr int line = 64, lines_per_block = kind == PanelKind::affine8 ? 8 : 4;
  const std::byte* at_;
  int64_t rest_;
};

template <int tokens>
[[gnu::always_inline]] inline void store_rows(const PanelProduct& p, size_t first, const F (&acc)[tokens]) {
  const F bias = p.bias != nullptr ? simd::load(p.bias) : simd::set1(0.f);
#pragma GCC unroll 16
  for (int t = 0; t < tokens; ++t)
    simd::store(p.out + (int64_t(first) + t) * p.out_stride, simd::add(acc[t], bias));
}

/// int8 inputs, E2M1 weights: 32-bit sums inside a block of 32 columns, f32 across.
template <int tokens, bool ahead>
void fp4_tile(const PanelProduct& p, size_t first) {
  F acc[tokens];
#pragma GCC unroll 16
  for (F& a : acc) a = simd::set1(0.f);
  const TokenInputs* x = &p.x[first];
  const uint8_t* scales = bytes(p.panel) + p.format.code_bytes();
  NextPanel<PanelKind::mxfp4, ahead> next(p.format, p.next);
  for (int64_t b = 0; b < p.format.columns / block_columns; ++b) {
    next.fetch_share();
    const BlockSums<PanelKind::mxfp4, tokens> sums(p.panel, b, x);
    const F scale = simd::mul(simd::e8m0(scales + b * panel_rows), simd::set1(0.5f));  // units are halves
#pragma GCC unroll 16
    for (int t = 0; t < tokens; ++t) {
      acc[t] = simd::fma(simd::to_floats(sums[t]), simd::mul(scale, simd::set1(x[t].scales[b])), acc[t]);
    }
  }
  store_rows<tokens>(p, first, acc);
}

/// int8 inputs, affine weights: the sums of the inputs, which every row needs for its quant_bias, came with them.
template <PanelKind kind, int tokens, bool ahead>
void affine_tile(const PanelProduct& p, size_t first) {
  F acc[tokens];
#pragma GCC unroll 16
  for (F& a : acc) a = simd::set1(0.f);
  const TokenInputs* x = &p.x[first];
  const int64_t blocks = p.format.columns / block_columns, per_group = p.format.group_size / block_columns;
  NextPanel<kind, ahead> next(p.format, p.next);
  for (int64_t b = 0; b < blocks;) {
    const GroupScales s = group_scales(p.format, p.panel, b / per_group);
    for (const int64_t group_end = b + per_group; b < group_end; ++b) {
      next.fetch_share();
      const BlockSums<kind, tokens> sums(p.panel, b, x);
#pragma GCC unroll 16
      for (int t = 0; t < tokens; ++t) {
        acc[t] = simd::fma(simd::to_floats(sums[t]), simd::mul(s.scale, simd::set1(x[t].scales[b])), acc[t]);
        acc[t] = simd::fma(s.quant_bias, simd::set1(x[t].scaled_sums[b]), acc[t]);
      }
    }
  }
  store_rows<tokens>(p, first, acc);
}

/// One column of 16 rows as floats. `codes` holds four columns a lane.
template <PanelKind kind, int byte>
F column_value(const I& codes, const GroupScales& s) {
  const I code = simd::byte_of<byte>(codes);
  if constexpr (kind == PanelKind::mxfp4)
    return simd::mul(simd::fp4_to_floats(code), s.scale);
  else
    return simd::fma(simd::to_floats(code), s.scale, s.quant_bias);
}

template <int tokens>
void add_column(const F& w, const TokenInputs* x, int64_t column, F (&acc)[tokens]) {
#pragma GCC unroll 16
  for (int t = 0; t < tokens; ++t) acc[t] = simd::fma(w, simd::set1(x[t].values[column]), acc[t]);
}

/// f32 inputs, weights made floats one column at a time.
template <PanelKind kind, int tokens>
void exact_tile(const PanelProduct& p, size_t first) {
  F acc[tokens];
#pragma GCC unroll 16
  for (F& a : acc) a = simd::set1(0.f);
  const PanelFormat& f = p.format;
  const TokenInputs* x = &p.x[first];
  if constexpr (kind == PanelKind::dense_bf16 || kind == PanelKind::dense_f32) {
    using T = std::conditional_t<kind == PanelKind::dense_bf16, bf16, float>;
    const T* elements = reinterpret_cast<const T*>(p.panel);
    for (int64_t c = 0; c < f.columns; ++c) add_column<tokens>(simd::load(elements + c * panel_rows), x, c, acc);
  } else {
    const uint8_t* e8m0_scales = bytes(p.panel) + f.code_bytes();
    const int64_t blocks = f.columns / block_columns;
    const int64_t blocks_per_group = std::max<int64_t>(1, f.group_size / block_columns);
    GroupScales s{};
    for (int64_t b = 0; b < blocks; ++b) {
      if constexpr (kind == PanelKind::mxfp4)
        s.scale = simd::e8m0(e8m0_scales + b * panel_rows);
      else if (b % blocks_per_group == 0)
        s = group_scales(f, p.panel, b / blocks_per_group);
      for (int i = 0; i < 8; ++i) {
        I codes;
        if constexpr (kind == PanelKind::affine8) {
          codes = simd::load_ints(p.panel + (b * 8 + i) * 64);
        } else {
          const I both = simd::load_ints(p.panel + (b * 4 + i / 2) * 64);
          codes = i % 2 == 0 ? simd::nibbles_low(both) : simd::nibbles_high(both);
        }
        const int64_t column = b * block_columns + 4 * i;
        add_column<tokens>(column_value<kind, 0>(codes, s), x, column, acc);
        add_column<tokens>(column_value<kind, 1>(codes, s), x, column + 1, acc);
        add_column<tokens>(column_value<kind, 2>(codes, s), x, column + 2, acc);
        add_column<tokens>(column_value<kind, 3>(codes, s), x, column + 3, acc);
      }
    }
  }
  store_rows<tokens>(p, first, acc);
}

template <bool fast, PanelKind kind, int tokens, bool ahead>
void tile(const PanelProduct& p, size_t first) {
  if constexpr (!fast || kind == PanelKind::dense_bf16 || kind == PanelKind::dense_f32)
    exact_tile<kind, tokens>(p, first);
  else if constexpr (kind == PanelKind::mxfp4)
    fp4_tile<tokens, ahead>(p, first);
  else
    affine_tile<kind, tokens, ahead>(p, first);
}

/// Tiles of the widest kind, then one for what is left: a weight is unpacked once per tile. The first pass over
/// the panel asks for the next one.
template <bool fast, PanelKind kind, int widest>
void tiles(const PanelProduct& p) {
  size_t first = 0;
  const auto run = [&]<int n>(std::integral_constant<int, n>) {
    if (first == 0 && p.next != nullptr)
      tile<fast, kind, n, true>(p, first);
    else
      tile<fast, kind, n, false>(p, first);
    first += n;
  };
  while (p.x.size() - first >= widest) run(std::integral_constant<int, widest>{});
  const auto rest = [&]<int n>(auto self, std::integral_constant<int, n> size) {
    if (p.x.size() - first == n) return run(size);
    if constexpr (n > 1) self(self, std::integral_constant<int, n - 1>{});
  };
  if constexpr (widest > 1) rest(rest, std::integral_constant<int, widest - 1>{});
}

template <bool fast>
void panel_product(const PanelProduct& p) {
  constexpr int widest = fast ? simd::int8_tile : simd::float_tile;
  switch (p.format.kind) {
    case PanelKind::mxfp4:
      return tiles<fast, PanelKind::mxfp4, widest>(p);
    case PanelKind::affine8:
      return tiles<fast, PanelKind::affine8, widest>(p);
    case PanelKind::affine4:
      return tiles<fast, PanelKind::affine4, widest>(p);
    case PanelKind::dense_bf16:
      return tiles<fast, PanelKind::dense_bf16, simd::float_tile>(p);
    case PanelKind::dense_f32:
      return tiles<fast, PanelKind::dense_f32, simd::float_tile>(p);
  }
}

void quantise(const float* x, int64_t columns, int8_t* codes, float* scales, float* scaled_sums,
              int32_t* offsets) {
  for (int64_t b = 0; b < columns / block_columns; ++b) {
    const float* in = x + b * block_columns;
    const F lo = simd::load(in), hi = simd::load(in + 16);
    const F zero = simd::set1(0.f);
    const auto magnitude = [&](F v) { return simd::max(v, simd::fma(v, simd::set1(-1.f), zero)); };
    const float largest = simd::max_of(simd::max(magnitude(lo), magnitude(hi)));
    const float scale = largest / 127, inverse = largest > 1e-36f ? 127 / largest : 0;  // finite
    int32_t lanes[block_columns];
    const I lo_codes = simd::to_nearest(simd::mul(lo, simd::set1(inverse)));
    const I hi_codes = simd::to_nearest(simd::mul(hi, simd::set1(inverse)));
    std::memcpy(lanes, &lo_codes, sizeof lo_codes);
    std::memcpy(lanes + 16, &hi_codes, sizeof hi_codes);
    int32_t sum = 0;
    for (int i = 0; i < block_columns; ++i) {
      const auto code = int8_t(lanes[i]);  // of a NaN: anything
      codes[b * block_columns + i] = code;
      sum += code;
    }
    scales[b] = scale;
    scaled_sums[b] = scale * float(sum);
    offsets[b] = -12 * sum;
  }
}

/// Eight 4-bit codes a lane, in the order of the files -> four bytes: code c low, code 4 + c high.
I pair_nibbles(I w) {
  const auto spread = [](const I& half) {
    const I bytes = simd::bits_and(simd::bits_or(half, simd::shift_left<8>(half)), 0x00ff00ff);
    return simd::bits_and(simd::bits_or(bytes, simd::shift_left<4>(bytes)), 0x0f0f0f0f);
  };
  return simd::bits_or(spread(simd::bits_and(w, 0xffff)), simd::shift_left<4>(spread(simd::shift_right<16>(w))));
}

void interleave(const std::byte* const* rows, int64_t words, bool pair, std::byte* panel) {
  for (int64_t first = 0; first < words; first += 16) {
    const int64_t n = std::min<int64_t>(16, words - first);
    I block[16];
    simd::transpose(rows, first, n, block);
    for (int64_t w = 0; w < n; ++w) {
      const I lanes = pair ? pair_nibbles(block[w]) : block[w];
      std::memcpy(panel + (first + w) * 64, &lanes, 64);
    }
  }
}

// --- what happens between the matrices
// -----------------------------------------------------------------------------

/// e^x: 2^n times a polynomial in the rest (|rest| <= ln2 / 2). Relative error under 2e-7; 0 below -87.3.
F exp(F x) {
  x = simd::max(simd::min(x, simd::set1(88.f)), simd::set1(-87.3f));
  const I n = simd::to_nearest(simd::mul(x, simd::set1(1.44269504f)));
  const F nf = simd::to_floats(n);
  F r = simd::fma(nf, simd::set1(-0.693359375f), x);  // ln2 in two parts: the first times n is exact
  r = simd::fma(nf, simd::set1(2.12194440e-4f), r);
  F p = simd::set1(1.98412698e-4f);
  for (const float c : {1.38888889e-3f, 8.33333333e-3f, 4.16666667e-2f, 1.66666667e-1f, 0.5f, 1.f, 1.f})
    p = simd::fma(p, r, simd::set1(c));
  return simd::scale_by_power(p, n);
}

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  F squares = simd::set1(0.f);
  float tail = 0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F v = simd::load(x + i);
    squares = simd::fma(v, v, squares);
  }
  for (int64_t j = i; j < n; ++j) tail += x[j] * x[j];
  const float scale = 1 / std::sqrt((simd::sum(squares) + tail) / float(n) + eps);
  for (i = 0; i + 16 <= n; i += 16)
    simd::store(out + i, simd::mul(simd::mul(simd::load(x + i), simd::set1(scale)), simd::load(weight + i)));
  for (; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

/// n a multiple of 16.
void clamped_swiglu(const float* gate, const float* up, int64_t n, float alpha, float limit, float* out) {
  const F one = simd::set1(1.f);
  for (int64_t i = 0; i < n; i += 16) {
    const F g = simd::min(simd::load(gate + i), simd::set1(limit));
    const F u = simd::max(simd::min(simd::load(up + i), simd::set1(limit)), simd::set1(-limit));
    const F sigmoid = simd::div(one, simd::add(one, exp(simd::mul(g, simd::set1(-alpha)))));
    simd::store(out + i, simd::mul(simd::mul(g, sigmoid), simd::add(u, one)));
  }
}

// --- attention
// -----------------------------------------------------------------------------------------------------

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
      simd::prefetch(later.keys + d * key_block);
      simd::prefetch(later.values + d * key_block);
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

// --- the roof
// ------------------------------------------------------------------------------------------------------

int64_t spin_int8(int64_t rounds) {
  I sums[simd::independent_sums];
  for (I& sum : sums) sum = simd::set1(0);
  I w = simd::set1(0x01020304);
  const int8_t codes[block_columns] = {1, 1, 1, 1};
  for (int64_t i = 0; i < rounds; ++i) {
    simd::keep(w);
#pragma GCC unroll 16
    for (I& sum : sums) sum = simd::dot<true, 0>(sum, w, codes);
  }
  for (I& sum : sums) simd::keep(sum);
  return rounds * simd::independent_sums * panel_rows * 4;
}

int64_t spin_f32(int64_t rounds) {
  F sums[simd::independent_sums];
  for (F& sum : sums) sum = simd::set1(0.f);
  F w = simd::set1(1.f);
  for (int64_t i = 0; i < rounds; ++i) {
    simd::keep(w);
#pragma GCC unroll 16
    for (F& sum : sums) sum = simd::fma(w, w, sum);
  }
  for (F& sum : sums) simd::keep(sum);
  return rounds * simd::independent_sums * panel_rows;
}

Kernels make_kernels(std::string_view name) {
  return {.name = name,
          .panel_exact = panel_product<false>,
          .panel_fast = panel_product<true>,
          .quantise = quantise,
          .interleave = interleave,
          .rms_norm = rms_norm,
          .clamped_swiglu = clamped_swiglu,
          .attention_bf16 = attention<bf16>,
          .attention_f32 = attention<float>,
          .spin_int8 = spin_int8,
          .spin_f32 = spin_f32};
}

}  // namespace
}  // namespace chorus::cpu
