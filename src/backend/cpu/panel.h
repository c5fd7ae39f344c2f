#pragma once

#include <cstddef>
#include <cstdint>

namespace chorus::cpu {

/// Rows of a weight matrix are placed in panels of 16, one row per 32-bit lane of a 512-bit register, so that a
/// kernel needs no sum across lanes and reads a panel from front to back. What follows is one panel of `columns`
/// inputs; panels lie one after the other, each padded to whole cache lines.
constexpr int panel_rows = 16;

enum class PanelKind : uint8_t {
  /// codes[columns/32][4][16 rows][4 bytes]: byte c of the j-th four holds code 8j+c of its 32 in the low nibble
  /// and
  /// code 8j+4+c in the high one; then scales[columns/32][16] E8M0.
  mxfp4,
  /// codes[columns/4][16 rows][4 bytes] u8; then per group 16 scales and 16 quant_biases.
  affine8,
  /// codes as mxfp4; then per group 16 scales and 16 quant_biases.
  affine4,
  /// elements[columns][16 rows].
  dense_bf16,
  dense_f32,
};

/// A placed matrix or stack, without its memory. The kernels ask it, and no instruction set's copy of a function
/// may be linked into another's place: so these are inline in builds that optimise little, too.
struct PanelFormat {
  PanelKind kind;
  bool wide_scales = false;  ///< affine: scales and quant_biases are f32 instead of bf16
  int64_t columns = 0;
  int64_t group_size = 0;  ///< affine

  [[gnu::always_inline]] inline int64_t code_bytes() const {
    switch (kind) {
      case PanelKind::mxfp4:
      case PanelKind::affine4:
        return columns * panel_rows / 2;
      case PanelKind::affine8:
        return columns * panel_rows;
      case PanelKind::dense_bf16:
        return columns * panel_rows * 2;
      case PanelKind::dense_f32:
        return columns * panel_rows * 4;
    }
    return 0;
  }
  [[gnu::always_inline]] inline int64_t scale_bytes() const {
    switch (kind) {
      case PanelKind::mxfp4:
        return columns / 32 * panel_rows;
      case PanelKind::affine4:
      case PanelKind::affine8:
        return columns / group_size * 2 * panel_rows * (wide_scales ? 4 : 2);
      default:
        return 0;
    }
  }
  [[gnu::always_inline]] inline int64_t panel_bytes() const {
    return (code_bytes() + scale_bytes() + 63) / 64 * 64;
  }
  bool quantised() const { return kind != PanelKind::dense_bf16 && kind != PanelKind::dense_f32; }
};

/// One token's inputs to a matrix product.
struct TokenInputs {
  const float* values;  ///< [columns]
  // The same rounded to int8 per 32, where the precision is `fast`:
  const int8_t* codes;       ///< [columns]
  const float* scales;       ///< [columns/32]
  const float* scaled_sums;  ///< [columns/32] scale * sum of the codes
  const int32_t* offsets;    ///< [columns/32] -12 * sum of the codes: takes the +12 of unsigned FP4 codes back
};

}  // namespace chorus::cpu
