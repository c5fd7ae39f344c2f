#include "ops/dequantize.h"

#include <bit>
#include <cassert>

namespace chorus {

float load_float(DType dtype, const void* array, int64_t i) {
  return dispatch_float(dtype, [&]<typename T>(Type<T>) {
    return to_float(load_unaligned<T>(static_cast<const std::byte*>(array) + size_t(i) * sizeof(T)));
  });
}

float decode_e2m1(uint32_t code) {
  constexpr float values[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  return code & 8 ? -values[code & 7] : values[code & 7];
}

float decode_e4m3(uint32_t code) {
  const uint32_t exponent = code >> 3 & 15, mantissa = code & 7;
  const float magnitude = exponent == 0 ? float(mantissa) * 0x1p-9f  // subnormal: mantissa / 8 * 2^-6
                                        : std::bit_cast<float>((exponent + 120) << 23 | mantissa << 20);
  return code & 0x80 ? -magnitude : magnitude;
}

float decode_e8m0(uint32_t code) {
  if (code == 0) return 0x1p-127f;                  // subnormal in f32
  return std::bit_cast<float>((code & 255) << 23);  // 255 gives infinity
}

MatrixRow row_of(const Matrix& m, int64_t matrix, int64_t row) {
  assert(m.layout == Layout::rows && matrix < m.matrices && row < m.rows);
  const int64_t stored = (matrix * m.rows + row) * m.row_step + m.row_first;
  const auto at = [&](const Tensor& part) {
    return static_cast<const std::byte*>(part.raw()) + size_t(stored * part.size(-1)) * size_of(part.dtype());
  };
  const auto begin = [&](const Tensor& part) { return part.empty() ? nullptr : at(part); };
  return {begin(m.data), begin(m.scales), begin(m.quant_biases)};
}

uint32_t code_at(const std::byte* codes, int bits, int64_t column) {
  const int64_t first_bit = column * bits;
  uint32_t two_bytes = uint32_t(codes[first_bit / 8]);
  // The second byte only where the code reaches into it: the last code of the last row may end the file.
  if (first_bit % 8 + bits > 8) two_bytes |= uint32_t(codes[first_bit / 8 + 1]) << 8;
  return two_bytes >> (first_bit % 8) & ((1u << bits) - 1);
}

float scale_at(const Matrix& m, const MatrixRow& row, int64_t group) {
  switch (m.coding) {
    case Coding::dense:
      return 1;
    case Coding::affine:
      return load_float(m.scales.dtype(), row.scales, group);
    case Coding::mxfp4:
    case Coding::mxfp8:
      return decode_e8m0(uint32_t(row.scales[group]));
    case Coding::nvfp4:
      return decode_e4m3(uint32_t(row.scales[group]));
  }
  return 1;
}

float quant_bias_at(const Matrix& m, const MatrixRow& row, int64_t group) {
  return m.coding == Coding::affine ? load_float(m.quant_biases.dtype(), row.quant_biases, group) : 0;
}

static float decode(Coding coding, uint32_t code) {
  switch (coding) {
    case Coding::mxfp4:
    case Coding::nvfp4:
      return decode_e2m1(code);
    case Coding::mxfp8:
      return decode_e4m3(code);
    default:
      return float(code);
  }
}

void dequantize_row(const Matrix& m, int64_t matrix, int64_t row, std::span<float> out) {
  assert(int64_t(out.size()) == m.columns);
  const MatrixRow from = row_of(m, matrix, row);
  if (m.coding == Coding::dense) {
    for (int64_t c = 0; c < m.columns; ++c) out[size_t(c)] = load_float(m.data.dtype(), from.codes, c);
    return;
  }
  for (int64_t group = 0; group < m.columns / m.group_size; ++group) {
    const float scale = scale_at(m, from, group), bias = quant_bias_at(m, from, group);
    for (int64_t c = group * m.group_size; c < (group + 1) * m.group_size; ++c) {
      const uint32_t code = m.bits == 8 ? uint32_t(from.codes[c]) : code_at(from.codes, m.bits, c);
      const float scaled = scale * decode(m.coding, code);
      // Not "+ 0" for the fp formats: that would turn -0 into 0.
      out[size_t(c)] = m.coding == Coding::affine ? scaled + bias : scaled;
    }
  }
}

}  // namespace chorus
