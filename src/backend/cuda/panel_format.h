// How the CUDA backend stores a weight matrix: the byte layout, and the formulas that the host writes and every
// kernel reads with.
//
// A matrix is cut into panels of 64 rows, the M side of wgmma.m64nNk16; panels lie one after the other, those of
// all experts too. A panel is its chunks of 64 columns in order (2,880 columns = 45 chunks, no padding), and a
// chunk is one record, which one bulk copy takes to shared memory:
//
//   codes    64 x 64 codes of 4, 8, 16 or 32 bits: those of rows 0 .. 15, for the first warp of a warpgroup, then
//            of rows 16 .. 31, ... Lane 4 * (row % 8) + column % 8 / 2 of the warp owns 32 of them: what the
//            fragments of A of its four products over 16 columns hold. Code e of a lane, in the order of these:
//              e = 8 * mma + 2 * reg + column % 2,   mma = column / 16, reg = column % 16 / 8 * 2 + row / 8 % 2
//            A lane's codes are cut into pieces of 16 bytes, and piece p of all lanes is one 512-byte read of a
//            warp. 4-bit codes: word `mma` of the lane holds eight; those of even columns are in its low half, or,
//            of mxfp4, where spread_e2m1() has them. Affine codes of fewer bits stand at their places' upper ends.
//   scales   of rows 0 .. 7 of each 16: [row][group of the chunk][the row, 8 more]; mxfp4 one byte, E8M0 + 126;
//            affine scale and quant_bias, two bf16 where the file has bf16 (4 bytes; the scale times a power of 2,
//            affine_shift()), else two f32. Dense: none. A group of 128 columns stands in both of its chunks.
//
// Rows and columns past the matrix are zero codes under zero scales.
#pragma once

#include <bit>
#include <cstdint>

namespace chorus::cuda {

enum class PanelKind : uint8_t {
  mxfp4,    ///< scales up to 2^1: see largest_e8m0
  affine4,  ///< 2 to 4 bits, bf16 scales as small as affine_shift() asks, or f32 ones
  affine8,  ///< 5 to 8 bits, likewise
  bf16,     ///< also mxfp8, nvfp4 and the rest of mxfp4, exactly, and of affine codes, rounded
  f32,      ///< also f16, and affine codes with f32 scales for groups of 32
};

constexpr int panel_rows = 64, chunk_columns = 64, fragment_rows = 16;

/// A code becomes a bf16 by one multiplication by 2^126 * scale, which a bf16 holds up to this scale, 2^1.
constexpr int largest_e8m0 = 128, e8m0_shift = 126;

/// Two E2M1 codes become a register of two bf16, times 2^-126, when their bits come to these places: the signs,
/// the exponents' lower bits and the mantissas' highest bit.
constexpr uint32_t e2m1_places = 0x81c081c0;
/// Eight codes fill a word so that registers 0 to 2 are a rotation to the left and a mask, and register 3, of
/// which no rotation is left, is a mask, a product that moves its bits and a mask.
constexpr int e2m1_rotation(int reg) {
  return reg == 0 ? 0 : reg == 1 ? 10 : 13;
}
constexpr uint32_t e2m1_rest = 0x001b001b, e2m1_moves = 1 << 2 | 1 << 7 | 1 << 12;

/// The bits of a code for register `reg` in its word; odd: of the register's upper half.
constexpr uint32_t spread_e2m1(int reg, int odd, uint32_t code) {
  const uint32_t sign = code >> 3, magnitude = code & 7;
  return reg < 3 ? std::rotr((sign << 15 | magnitude << 6) << 16 * odd, e2m1_rotation(reg))
                 : (sign << 3 | magnitude >> 1 | (magnitude & 1) << 4) << 16 * odd;
}
constexpr uint32_t gather_e2m1(int reg, int odd, uint32_t word) {
  const uint32_t bits =
      (reg < 3 ? std::rotl(word, e2m1_rotation(reg)) : (word & e2m1_rest) * e2m1_moves) >> 16 * odd;
  return (bits >> 15 & 1) << 3 | (bits >> 6 & 7);
}

/// A bf16 of which only the lower 8 bits are set is their number times 2^-133, subnormal or not. So affine codes
/// become weights by one multiply-add in bf16, rounded once, where scales are bf16 and stand in the panel times
/// this power of 2: 8 bits as they are, 4 bits shifted to the left by 4.
constexpr int affine_shift(bool four_bits) {
  return four_bits ? 129 : 133;
}

struct PanelFormat {
  PanelKind kind = PanelKind::f32;
  bool wide_scales = false;  ///< affine: f32 instead of bf16
  int group_size = 0;
  int64_t rows = 0, columns = 0;

  constexpr bool quantised() const { return kind != PanelKind::bf16 && kind != PanelKind::f32; }
  constexpr int code_bits() const {
    switch (kind) {
      case PanelKind::mxfp4:
      case PanelKind::affine4:
        return 4;
      case PanelKind::affine8:
        return 8;
      case PanelKind::bf16:
        return 16;
      default:
        return 32;
    }
  }
  constexpr int scale_bytes() const {
    return kind == PanelKind::mxfp4 ? 1 : !quantised() ? 0 : wide_scales ? 8 : 4;
  }
  constexpr int chunk_groups() const { return group_size == 32 ? 2 : 1; }
  /// Scales of a lane: both of its rows, all groups of a chunk.
  constexpr int lane_scale_bytes() const { return 2 * chunk_groups() * scale_bytes(); }
  constexpr int64_t panels() const { return (rows + panel_rows - 1) / panel_rows; }
  constexpr int64_t chunks() const { return (columns + chunk_columns - 1) / chunk_columns; }
  constexpr int64_t padded_columns() const { return chunks() * chunk_columns; }
  constexpr int64_t code_bytes() const { return panel_rows * chunk_columns / 8 * code_bits(); }  ///< of a chunk
  constexpr int64_t chunk_bytes() const { return code_bytes() + panel_rows / 2 * lane_scale_bytes(); }
  constexpr int64_t panel_bytes() const { return chunks() * chunk_bytes(); }

  constexpr static int reg_of(int row, int64_t column) { return int(column % 16 / 8 * 2) + row / 8 % 2; }

  /// Byte of the panel where an element's code begins; 4-bit: where its word begins (row: inside the panel).
  constexpr int64_t code_at(int row, int64_t column) const {
    const int lane = 4 * (row % 8) + int(column % 8 / 2), mma = int(column % chunk_columns / 16);
    const int in_word = code_bits() == 4 ? 0 : 2 * reg_of(row, column) + int(column % 2);
    const int byte = (8 * mma + in_word) * code_bits() / 8, pieces = code_bits() / 4;
    return column / chunk_columns * chunk_bytes() + (row / fragment_rows * pieces + byte / 16) * 512 + lane * 16 +
           byte % 16;
  }
  /// A 4-bit code's bits in its word, and back.
  constexpr uint32_t in_word(int row, int64_t column, uint32_t code) const {
    const int reg = reg_of(row, column), odd = int(column % 2);
    return kind == PanelKind::mxfp4 ? spread_e2m1(reg, odd, code) : code << (4 * reg + 16 * odd);
  }
  constexpr uint32_t from_word(int row, int64_t column, uint32_t word) const {
    const int reg = reg_of(row, column), odd = int(column % 2);
    return kind == PanelKind::mxfp4 ? gather_e2m1(reg, odd, word) : word >> (4 * reg + 16 * odd) & 15;
  }
  constexpr int64_t scale_at(int row, int64_t column) const {
    const int64_t group = chunk_groups() == 2 ? column % chunk_columns / 32 : 0;
    return column / chunk_columns * chunk_bytes() + code_bytes() +
           (row / fragment_rows * 8 + row % 8) * lane_scale_bytes() + (group * 2 + row / 8 % 2) * scale_bytes();
  }
};

}  // namespace chorus::cuda
