#pragma once

#include "tensor/tensor.h"

namespace chorus {

/// How the elements of a weight matrix are coded.
enum class Coding : uint8_t {
  dense,   ///< bf16, f16 or f32 elements
  affine,  ///< w = scale * q + quant_bias; q of 2-8 bits, scale and quant_bias per group of 32, 64 or 128
  mxfp4,   ///< E2M1 codes, an E8M0 scale per 32 (OCP Microscaling Formats v1.0)
  mxfp8,   ///< E4M3 codes, an E8M0 scale per 32
  nvfp4,   ///< E2M1 codes, an E4M3 scale per 16
};

/// Where the elements lie.
enum class Layout : uint8_t {
  rows,    ///< as in the files: MLX's packing, one row after the other
  placed,  ///< as the backend that placed it likes it; only that backend can read it
};

/// One weight matrix, or a stack of equal ones (experts): out = in * W^T, as in every model file.
///
/// Layout::rows: `data` holds, per matrix and row, `columns` codes packed little-endian along the row into u32 words
/// (affine, mxfp4, mxfp8, nvfp4; a code may cross words at 3, 5 and 6 bits) or elements (dense); `scales` and
/// `quant_biases` one value per group: bf16/f16/f32 for affine, E8M0 or E4M3 bytes (u8) for the fp formats.
/// A file does not align them: read them with memcpy (ops/dequantize.h) until a backend has placed them.
/// Row r begins at row r * row_step + row_first of the file's tensor: gate and up of OpenAI's files alternate.
struct Matrix {
  Coding coding = Coding::dense;
  Layout layout = Layout::rows;
  int bits = 0;        ///< per code; affine 2-8
  int group_size = 0;  ///< columns per scale; 0 for dense
  int64_t matrices = 1;
  int64_t rows = 0;     ///< outputs
  int64_t columns = 0;  ///< inputs
  Tensor data, scales, quant_biases;
  int64_t row_first = 0, row_step = 1;

  bool empty() const { return rows == 0; }
  /// Bytes that hold it: what a pass over the matrix must read.
  size_t bytes() const { return data.bytes() + scales.bytes() + quant_biases.bytes(); }
};

/// out = in * weight^T + bias.
struct Linear {
  Matrix weight;
  Tensor bias;  ///< [rows], bf16/f16/f32, or empty

  int64_t inputs() const { return weight.columns; }
  int64_t outputs() const { return weight.rows; }
};

/// One Linear per expert.
struct ExpertLinear {
  Matrix weight;  ///< matrices = experts
  Tensor bias;    ///< [experts, rows], or empty

  int64_t experts() const { return weight.matrices; }
};

}  // namespace chorus
