#pragma once

// Part of kernels_impl.h: matrix panels, their inputs, and how weights get there.
#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/cpu/kernels_reading.h"
#include "backend/cpu/kernels_tokens.h"

namespace chorus::cpu {
namespace {

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
      return simd::dots<small>(first_sum(t), kept_, codes(t));
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

}  // namespace
}  // namespace chorus::cpu
