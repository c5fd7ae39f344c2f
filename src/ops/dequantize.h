#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "ops/matrix.h"

namespace chorus {

/// What the codes of a weight matrix mean: slow and obvious, for references and for repacking. Bit-equal to MLX's
/// dequantize. The parts of a matrix in a mapped file lie at any address, so all of this reads with memcpy.

/// A value at any address.
template <typename T>
T load_unaligned(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// Element i of an array of this dtype (floats), at any address.
float load_float(DType dtype, const void* array, int64_t i);

/// E2M1: sign, two exponent bits, one mantissa bit: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.
float decode_e2m1(uint32_t code);
/// E4M3: bias 7, subnormals. 0x7f and 0xff are NaN in the standard, and 480 and -480 to MLX and here.
float decode_e4m3(uint32_t code);
/// E8M0: 2^(code - 127). 255 is NaN in the standard, and infinity to MLX and here.
float decode_e8m0(uint32_t code);

/// Row `row` of matrix `matrix` of a matrix with Layout::rows: where its codes, scales and quant_biases begin.
struct MatrixRow {
  const std::byte* codes = nullptr;
  const std::byte* scales = nullptr;
  const std::byte* quant_biases = nullptr;
};
MatrixRow row_of(const Matrix& m, int64_t matrix, int64_t row);

/// Code `column` of a row of codes packed little-endian, the first in the lowest bits; it may cross words.
uint32_t code_at(const std::byte* codes, int bits, int64_t column);

/// The scale and the quant_bias (0 unless affine) of a group of a row.
float scale_at(const Matrix& m, const MatrixRow& row, int64_t group);
float quant_bias_at(const Matrix& m, const MatrixRow& row, int64_t group);

/// The row as floats; out.size() == m.columns.
void dequantize_row(const Matrix& m, int64_t matrix, int64_t row, std::span<float> out);

}  // namespace chorus
