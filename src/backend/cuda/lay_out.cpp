#include "backend/cuda/lay_out.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops/dequantize.h"

namespace chorus::cuda {
namespace {

template <typename T>
void put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

/// Codes of fewer bits than their places in the panel stand at the places' upper ends, under smaller scales.
int spare_bits(const Matrix& m, const PanelFormat& f) {
  return f.kind == PanelKind::mxfp4 ? 0 : f.code_bits() - m.bits;
}

void put_scales(const Matrix& m, const MatrixRow& from, int row, const PanelFormat& f, std::byte* panel) {
  const int64_t step = std::min<int64_t>(m.group_size, chunk_columns);
  for (int64_t c = 0; c < m.columns; c += step) {
    const int64_t g = c / m.group_size;
    std::byte* at = panel + f.scale_at(row, c);
    if (f.kind == PanelKind::mxfp4) {
      *at = std::byte(uint32_t(from.scales[g]) + e8m0_shift);
    } else if (f.wide_scales) {
      put(at, std::ldexp(chorus::scale_at(m, from, g), -spare_bits(m, f)));
      put(at + 4, quant_bias_at(m, from, g));
    } else {
      const int shift = affine_shift(f.code_bits() == 4) - spare_bits(m, f);
      put(at, from_float<bf16>(std::ldexp(chorus::scale_at(m, from, g), shift)));
      put(at + 2, from_float<bf16>(quant_bias_at(m, from, g)));
    }
  }
}

void put_codes(const Matrix& m, const MatrixRow& from, int row, const PanelFormat& f, std::byte* panel) {
  for (int64_t c = 0; c < m.columns; ++c) {
    const uint32_t code = m.bits == 8   ? uint32_t(from.codes[c])
                          : m.bits == 4 ? uint32_t(from.codes[c / 2]) >> (c % 2 * 4) & 15
                                        : chorus::code_at(from.codes, m.bits, c) << spare_bits(m, f);
    std::byte* at = panel + f.code_at(row, c);
    if (f.code_bits() == 8)
      *at = std::byte(code);
    else
      put(at, load_unaligned<uint32_t>(at) | f.in_word(row, c, code));
  }
}

/// The two E2M1 codes of a byte, in place for a register.
using PairTable = std::array<std::array<uint32_t, 256>, 4>;
constexpr PairTable pair_table = [] {
  PairTable table{};
  for (int reg = 0; reg < 4; ++reg)
    for (uint32_t byte = 0; byte < 256; ++byte)
      table[size_t(reg)][byte] = spread_e2m1(reg, 0, byte & 15) | spread_e2m1(reg, 1, byte >> 4);
  return table;
}();

// As put_codes, two columns at a time: most of a model is this.
void put_mxfp4(const Matrix& m, const MatrixRow& from, int row, const PanelFormat& f, std::byte* panel) {
  for (int64_t c = 0; c < m.columns; c += 2) {
    std::byte* at = panel + f.code_at(row, c);
    put(at, load_unaligned<uint32_t>(at) | pair_table[size_t(f.reg_of(row, c))][size_t(from.codes[c / 2])]);
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

bool has_large_scale(const Matrix& m) {
  const auto* scales = static_cast<const uint8_t*>(m.scales.raw());
  const auto* end = scales + m.scales.bytes();
  return std::any_of(scales, end, [](uint8_t e) { return e > largest_e8m0; });
}

/// Those of bf16: whether one would be infinite in a panel.
bool has_large_affine_scale(const Matrix& m, const PanelFormat& f) {
  const auto* scales = static_cast<const bf16*>(m.scales.raw());
  const float limit = std::ldexp(1.f, 128 - affine_shift(f.code_bits() == 4) + spare_bits(m, f));
  return std::any_of(scales, scales + m.scales.elements(),
                     [=](bf16 s) { return !(std::abs(to_float(s)) < limit); });
}

}  // namespace

std::pair<const Matrix*, int64_t> Stack::find(int64_t row) const {
  for (const Matrix& part : parts) {
    if (row < part.rows) return {&part, row};
    row -= part.rows;
  }
  return {nullptr, 0};  // not asked for
}

PanelFormat format_for(const Matrix& m) {
  PanelFormat f{
      .kind = PanelKind::f32, .wide_scales = false, .group_size = 0, .rows = m.rows, .columns = m.columns};
  switch (m.coding) {
    case Coding::mxfp4:
      f.kind = has_large_scale(m) ? PanelKind::bf16 : PanelKind::mxfp4;
      break;
    case Coding::affine:
      if (m.scales.dtype() != DType::bf16 && m.group_size < chunk_columns) break;
      f.kind = m.bits <= 4 ? PanelKind::affine4 : PanelKind::affine8;
      f.wide_scales = m.scales.dtype() != DType::bf16;
      if (!f.wide_scales && has_large_affine_scale(m, f)) f.kind = PanelKind::bf16;
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

PanelFormat format_for(std::span<const Matrix> parts) {
  PanelFormat f = format_for(parts[0]);
  for (const Matrix& part : parts) {
    const PanelFormat own = format_for(part);
    if (own.kind == f.kind && own.wide_scales == f.wide_scales && own.group_size == f.group_size &&
        (!f.quantised() || part.bits == parts[0].bits))
      continue;
    const bool wide = own.kind == PanelKind::f32 || f.kind == PanelKind::f32;
    f.kind = wide ? PanelKind::f32 : PanelKind::bf16;
    f.wide_scales = false;
    f.group_size = 0;
  }
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

void lay_out_panel(const Stack& stack, int64_t matrix, int64_t panel, const PanelFormat& f, std::byte* out) {
  std::memset(out, 0, size_t(f.panel_bytes()));
  std::vector<float> values(f.quantised() ? 0 : size_t(f.columns));
  const int64_t first = panel * panel_rows, rows = std::min<int64_t>(panel_rows, f.rows - first);
  for (int r = 0; r < rows; ++r) {
    const auto [m, row] = stack.find(first + r);
    if (f.quantised()) {
      const MatrixRow from = row_of(*m, matrix, row);
      if (f.kind == PanelKind::mxfp4)
        put_mxfp4(*m, from, r, f, out);
      else
        put_codes(*m, from, r, f, out);
      put_scales(*m, from, r, f, out);
    } else {
      dequantize_row(*m, matrix, row, values);
      put_values(values, r, f, out);
    }
  }
}

}  // namespace chorus::cuda
