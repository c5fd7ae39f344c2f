// How the CUDA backend stores a weight matrix: the byte layout, and the one formula that the host writes and every
// kernel reads with.
//
// A matrix is cut into panels of 16 rows, the M side of mma.sync.m16n8k16; panels lie one after the other, those
// of all experts too. A panel is its codes, then its scales, to a multiple of 16 bytes:
//
//   codes    per chunk of 64 columns 16 x 64 codes of 4, 8, 16 or 32 bits (2,880 columns = 45 chunks, no padding).
//            Lane 4 * (row % 8) + column / 16 of a warp owns 32 of them: rows row % 8 and row % 8 + 8, 16 columns.
//            Code e of a lane, in the order in which the four mma of a chunk take them:
//              e = 8 * (column % 16 / 4) + 4 * (column % 4 / 2) + 2 * (row / 8) + column % 2
//            A lane's codes are cut into pieces of 16 bytes, and piece p of all lanes is one 512-byte read of a
//            warp. 4-bit codes: the first in the low nibble.
//   scales   [group][16 rows], one entry each: mxfp4 its E8M0 byte; affine scale and quant_bias, two bf16 where
//   the
//            file has bf16 (4 bytes), else two f32. Dense: none.
//
// The columns of a product may come in any order as long as both sides agree: with this one a lane reads 16
// neighbouring inputs of a token. Rows and columns past the matrix are zero codes under zero scales.
#pragma once

#include <cstdint>

namespace chorus::cuda {

enum class PanelKind : uint8_t {
  mxfp4,
  affine4,  ///< 2 to 4 bits
  affine8,  ///< 5 to 8 bits
  bf16,     ///< also mxfp8 and nvfp4, which it holds exactly
  f32,      ///< also f16
};

constexpr int panel_rows = 16, chunk_columns = 64;

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
  constexpr int64_t panels() const { return (rows + panel_rows - 1) / panel_rows; }
  constexpr int64_t chunks() const { return (columns + chunk_columns - 1) / chunk_columns; }
  constexpr int64_t padded_columns() const { return chunks() * chunk_columns; }
  constexpr int64_t chunk_bytes() const { return panel_rows * chunk_columns / 8 * code_bits(); }
  constexpr int64_t code_bytes() const { return chunks() * chunk_bytes(); }
  constexpr int64_t groups() const { return quantised() ? (padded_columns() + group_size - 1) / group_size : 0; }
  constexpr int64_t panel_bytes() const {
    return (code_bytes() + groups() * panel_rows * scale_bytes() + 15) / 16 * 16;
  }

  /// Byte of the panel where the code of an element begins (row: inside the panel).
  constexpr int64_t code_at(int row, int64_t column) const {
    const int c = int(column % chunk_columns), lane = 4 * (row % 8) + c / 16;
    const int e = 8 * (c % 16 / 4) + 4 * (c % 4 / 2) + 2 * (row / 8) + c % 2, byte = e * code_bits() / 8;
    return column / chunk_columns * chunk_bytes() + byte / 16 * 512 + lane * 16 + byte % 16;
  }
  /// Bits to shift its byte by: 4-bit codes share one.
  constexpr int shift_at(int64_t column) const { return code_bits() == 4 ? int(column % 2) * 4 : 0; }
  constexpr int64_t scale_at(int row, int64_t group) const {
    return code_bytes() + (group * panel_rows + row) * scale_bytes();
  }
};

}  // namespace chorus::cuda
