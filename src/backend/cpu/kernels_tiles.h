#pragma once

// Matrix panels for many tokens, over chorus::cpu::tiles: 16 tokens times 16 rows times a block of 32 columns in
// one instruction. The sums of a block are integers, and what follows them is what the other kernels do in the
// same order, so a token's result is theirs bit for bit.
#include <algorithm>
#include <array>
#include <utility>

#include "backend/cpu/kernels.h"
#include "backend/cpu/kernels_reading.h"

namespace chorus::cpu {
namespace {

constexpr int tile_tokens = 16;
constexpr int64_t block_bytes = block_columns * panel_rows;  // of weights, as bytes
/// Blocks whose weights wait as bytes in the first-level cache while all tokens are multiplied with them.
constexpr int64_t chunk_blocks = 16;
/// Below that, unpacking weights into memory costs more than tiles gain: of one thread on Sapphire Rapids, GMAC/s
/// of MXFP4 with tiles and without, 4 tokens 66 and 70, 6 tokens 93 and 78.
constexpr size_t fewest_tile_tokens = 5;

/// Tiles of 16 tokens alternate, so that one block is loaded while another is multiplied; tokens that are left
/// have tiles of their own height.
template <int tokens, int parity>
struct TileNumbers {
  static constexpr bool full = tokens == tile_tokens;
  static constexpr int sums = full ? parity : 6, inputs = full ? 2 + parity : 7, weights = 4 + parity;
};

TileConfig tile_config(size_t rest_tokens) {
  TileConfig c;
  const auto set = [&](int tile, size_t rows, int64_t row_bytes) {
    c.rows[tile] = uint8_t(rows);
    c.row_bytes[tile] = uint16_t(row_bytes);
  };
  for (const int parity : {0, 1}) {
    set(parity, tile_tokens, panel_rows * 4);
    set(2 + parity, tile_tokens, block_columns);
    set(4 + parity, block_columns / 4, panel_rows * 4);
  }
  if (rest_tokens > 0) {
    set(6, rest_tokens, panel_rows * 4);
    set(7, rest_tokens, block_columns);
  }
  return c;
}

/// Blocks of a panel, one after the other, as the bytes that tiles load.
template <PanelKind kind, bool ahead>
class TileWeights {
 public:
  explicit TileWeights(const PanelProduct& p) : panel_(p.panel), next_(p.format, p.next) {}

  const std::byte* blocks(int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      next_.fetch_share();
      if constexpr (kind != PanelKind::affine8)
        unpack(b, bytes_ + (b - begin) * block_bytes, std::make_integer_sequence<int, 8>());
    }
    return kind == PanelKind::affine8 ? panel_ + begin * block_bytes : bytes_;
  }

 private:
  template <int... four>
  [[gnu::always_inline]] inline void unpack(int64_t b, std::byte* out, std::integer_sequence<int, four...>) {
    (simd::store_ints(out + four * 64, kind == PanelKind::mxfp4
                                           ? simd::fp4_to_signed_units(four_codes<kind, four>(panel_, b))
                                           : four_codes<kind, four>(panel_, b)),
     ...);
  }

  const std::byte* panel_;
  NextPanel<kind, ahead> next_;
  alignas(64) std::byte bytes_[kind == PanelKind::affine8 ? 1 : chunk_blocks * block_bytes];
};

/// Adds blocks [begin, end) of the panel times `tokens` tokens to what `out` holds.
template <PanelKind kind, int tokens>
void add_blocks(const PanelProduct& p, int64_t begin, int64_t end, const std::byte* weights, size_t first) {
  PanelFormat format = p.format;
  format.kind = kind;  // is known here, and the loop asks nothing
  const std::byte* const panel = p.panel;
  const int64_t columns = format.columns, blocks = columns / block_columns;
  const TokenInputs x = p.x[first];
  float* const out = p.out + int64_t(first) * p.out_stride;
  alignas(64) int32_t sums[2][tokens * panel_rows];
  F acc[tokens];
#pragma GCC unroll 16
  for (int t = 0; t < tokens; ++t) acc[t] = begin == 0 ? simd::set1(0.f) : simd::load(out + t * p.out_stride);

  const auto multiply = [&]<int parity>(std::integral_constant<int, parity>, int64_t b) {
    using Tile = TileNumbers<tokens, parity>;
    tiles::zero<Tile::sums>();
    tiles::load<Tile::inputs>(x.codes + b * block_columns, columns);
    tiles::load<Tile::weights>(weights + (b - begin) * block_bytes, panel_rows * 4);
    tiles::dot<Tile::sums, Tile::inputs, Tile::weights, kind == PanelKind::mxfp4>();
    tiles::store<Tile::sums>(sums[parity], panel_rows * 4);
  };
  const auto add = [&](int parity, int64_t b) __attribute__((always_inline)) {
    GroupScales s{};
    if constexpr (kind == PanelKind::mxfp4)  // units are halves
      s.scale = simd::mul(simd::e8m0(bytes(panel) + format.code_bytes() + b * panel_rows), simd::set1(0.5f));
    else
      s = group_scales(format, panel, b * block_columns / format.group_size);
    const float *scales = x.scales + b, *scaled_sums = x.scaled_sums + b;
#pragma GCC unroll 16
    for (int t = 0; t < tokens; ++t) {
      const F sum = simd::to_floats(simd::load_ints(sums[parity] + t * panel_rows));
      acc[t] = simd::fma(sum, simd::mul(s.scale, simd::set1(scales[t * blocks])), acc[t]);
      if constexpr (kind != PanelKind::mxfp4)
        acc[t] = simd::fma(s.quant_bias, simd::set1(scaled_sums[t * blocks]), acc[t]);
    }
  };
  constexpr std::integral_constant<int, 0> even;
  constexpr std::integral_constant<int, 1> odd;
  multiply(even, begin);
  for (int64_t b = begin; b < end; b += 2) {  // a block's sums are used while the next one's are made
    if (b + 1 < end) multiply(odd, b + 1);
    add(even, b);
    if (b + 1 == end) break;
    if (b + 2 < end) multiply(even, b + 2);
    add(odd, b + 1);
  }
  const F bias = end == blocks && p.bias != nullptr ? simd::load(p.bias) : simd::set1(0.f);
#pragma GCC unroll 16
  for (int t = 0; t < tokens; ++t) simd::store(out + t * p.out_stride, simd::add(acc[t], bias));
}

template <PanelKind kind>
using AddBlocks = void (*)(const PanelProduct&, int64_t, int64_t, const std::byte*, size_t);

/// add_blocks for 1 to 16 tokens.
template <PanelKind kind, int... fewer>
constexpr auto for_every_number(std::integer_sequence<int, fewer...>) {
  return std::array<AddBlocks<kind>, sizeof...(fewer)>{add_blocks<kind, fewer + 1>...};
}

template <PanelKind kind, bool ahead>
void tile_chunks(const PanelProduct& p) {
  static constexpr auto add = for_every_number<kind>(std::make_integer_sequence<int, tile_tokens>());
  tiles::configure(tile_config(p.x.size() % tile_tokens));
  TileWeights<kind, ahead> weights(p);
  const int64_t blocks = p.format.columns / block_columns;
  for (int64_t begin = 0; begin < blocks; begin += chunk_blocks) {
    const int64_t end = std::min(begin + chunk_blocks, blocks);
    const std::byte* const bytes = weights.blocks(begin, end);
    for (size_t first = 0; first < p.x.size(); first += tile_tokens)
      add[std::min<size_t>(tile_tokens, p.x.size() - first) - 1](p, begin, end, bytes, first);
  }
  tiles::release();
}

template <PanelKind kind>
void tile_product(const PanelProduct& p) {
  p.next != nullptr ? tile_chunks<kind, true>(p) : tile_chunks<kind, false>(p);
}

void tile_panel_product(const PanelProduct& p) {
  if (p.x.size() >= fewest_tile_tokens) switch (p.format.kind) {
      case PanelKind::mxfp4:
        return tile_product<PanelKind::mxfp4>(p);
      case PanelKind::affine8:
        return tile_product<PanelKind::affine8>(p);
      case PanelKind::affine4:
        return tile_product<PanelKind::affine4>(p);
      default:
        break;
    }
  avx512_kernels()->panel_fast(p);
}

/// The roof: whole tiles, and nothing but products of them.
int64_t spin_tiles(int64_t rounds) {
  TileConfig c;
  for (int tile = 0; tile < 8; ++tile) c.rows[tile] = 16, c.row_bytes[tile] = 64;
  tiles::configure(c);
  for (int64_t i = 0; i < rounds; ++i) {
    tiles::dot<0, 6, 7, false>();
    tiles::dot<1, 6, 7, false>();
    tiles::dot<2, 6, 7, false>();
    tiles::dot<3, 6, 7, false>();
  }
  tiles::release();
  return rounds * 4 * 16 * 16 * 64;
}

Kernels make_tile_kernels(std::string_view name) {
  Kernels kernels = *avx512_kernels();
  kernels.name = name;
  kernels.panel_fast = tile_panel_product;
  kernels.spin_int8 = spin_tiles;
  return kernels;
}

}  // namespace
}  // namespace chorus::cpu
