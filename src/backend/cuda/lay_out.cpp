#include "backend/cuda/lay_out.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "ops/dequantize.h"

namespace chorus::cuda {
namespace {

template <typename T>
void put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

void put_scales(const Matrix& m, const MatrixRow& from, int row, const PanelFormat& f, std::byte* panel) {
  for (int64_t g = 0; g < m.columns / m.group_size; ++g) {
    std::byte* at = panel + f.scale_at(row, g);
    if (f.kind == PanelKind::mxfp4) {
      *at = from.scales[g];
    } else if (f.wide_scales) {
      put(at, chorus::scale_at(m, from, g));
      put(at + 4, quant_bias_at(m, from, g));
    } else {
      put(at, from_float<bf16>(chorus::scale_at(m, from, g)));
      put(at + 2, from_float<bf16>(quant_bias_at(m, from, g)));
    }
  }
}

void put_codes(const Matrix& m, const MatrixRow& from, int row, const PanelFormat& f, std::byte* panel) {
  for (int64_t c = 0; c < m.columns; ++c) {
    const uint32_t code = m.bits == 8   ? uint32_t(from.codes[c])
                          : m.bits == 4 ? uint32_t(from.codes[c / 2]) >> (c % 2 * 4) & 15
                                        : chorus::code_at(from.codes, m.bits, c);
    panel[f.code_at(row, c)] |= std::byte(code << f.shift_at(c));
  }
}

void put_values(const std::vector<float>& values, int row, const PanelFormat& f, std::byte* panel) {
  for (size_t c = 0; c < values.size(); ++c) {
    std::byte* at = panel + f.code_at(row, int64_t(c));
    if (f.kind == PanelKind::bf16)
      put(at, from_float<bf16>(values[c]));
    else
      put(at, values[c]);
  }
}

}  // namespace

PanelFormat format_for(const Matrix& m) {
  PanelFormat f{
      .kind = PanelKind::f32, .wide_scales = false, .group_size = 0, .rows = m.rows, .columns = m.columns};
  switch (m.coding) {
    case Coding::mxfp4:
      f.kind = PanelKind::mxfp4;
      break;
    case Coding::affine:
      f.kind = m.bits <= 4 ? PanelKind::affine4 : PanelKind::affine8;
      f.wide_scales = m.scales.dtype() != DType::bf16;
      break;
    case Coding::mxfp8:
    case Coding::nvfp4:
      f.kind = PanelKind::bf16;
      break;
    case Coding::dense:
      if (m.data.dtype() == DType::bf16) f.kind = PanelKind::bf16;
      break;
  }
  if (f.quantised()) f.group_size = m.group_size;
  return f;
}

DType type_of(const PanelFormat& f) {
  if (f.kind == PanelKind::bf16) return DType::bf16;
  if (f.kind == PanelKind::f32) return DType::f32;
  return f.wide_scales ? DType::u32 : DType::u8;
}

PanelFormat format_of(const Matrix& m) {
  PanelFormat f{.kind = PanelKind::f32,
                .wide_scales = m.data.dtype() == DType::u32,
                .group_size = m.group_size,
                .rows = m.rows,
                .columns = m.columns};
  if (m.data.dtype() == DType::bf16)
    f.kind = PanelKind::bf16;
  else if (m.data.dtype() == DType::f32)
    f.kind = PanelKind::f32;
  else if (m.coding == Coding::mxfp4)
    f.kind = PanelKind::mxfp4;
  else
    f.kind = m.bits <= 4 ? PanelKind::affine4 : PanelKind::affine8;
  if (!f.quantised()) f.group_size = 0;
  return f;
}

void lay_out_panel(const Matrix& m, int64_t matrix, int64_t panel, const PanelFormat& f, std::byte* out) {
  std::memset(out, 0, size_t(f.panel_bytes()));
  std::vector<float> values(f.quantised() ? 0 : size_t(m.columns));
  const int64_t first = panel * panel_rows, rows = std::min<int64_t>(panel_rows, m.rows - first);
  for (int r = 0; r < rows; ++r) {
    if (f.quantised()) {
      const MatrixRow from = row_of(m, matrix, first + r);
      put_codes(m, from, r, f, out);
      put_scales(m, from, r, f, out);
    } else {
      dequantize_row(m, matrix, first + r, values);
      put_values(values, r, f, out);
    }
  }
}

}  // namespace chorus::cuda
