// From the files' layout to panels (panel.h). Each element is moved once; bits are kept, or widened without loss.
#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "chorus/error.h"
#include "ops/dequantize.h"

namespace chorus::cpu {
namespace {

PanelFormat format_for(const Matrix& m) {
  PanelFormat f{.kind = PanelKind::dense_f32, .columns = m.columns, .group_size = m.group_size};
  switch (m.coding) {
    case Coding::mxfp4:
      f.kind = PanelKind::mxfp4;
      break;
    case Coding::affine:
      // 2 to 4 bits fit a nibble; 5 to 8 take a byte.
      f.kind = m.bits <= 4 ? PanelKind::affine4 : PanelKind::affine8;
      f.wide_scales = m.scales.dtype() != DType::bf16;
      break;
    case Coding::mxfp8:
    case Coding::nvfp4:
      f.kind = PanelKind::dense_bf16;
      break;  // both are exact in bf16
    case Coding::dense:
      f.kind = m.data.dtype() == DType::bf16 ? PanelKind::dense_bf16 : PanelKind::dense_f32;
      break;
  }
  return f;
}

// Codes of a width that no panel has, widened to the next that one has.
uint32_t eight_codes(const std::byte* codes, int bits, int64_t column) {
  uint32_t word = 0;
  for (int i = 0; i < 8; ++i) word |= code_at(codes, bits, column + i) << (4 * i);
  return word;
}

uint32_t four_bytes(const std::byte* codes, int bits, int64_t column) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word |= code_at(codes, bits, column + i) << (8 * i);
  return word;
}

// What files nearly always hold: bf16, moved as it is.
void put_bf16_scales(const Matrix& m, const MatrixRow& row, int r, std::byte* scales) {
  for (int64_t g = 0; g < m.columns / m.group_size; ++g) {
    std::memcpy(scales + (g * 2 * panel_rows + r) * 2, row.scales + g * 2, 2);
    std::memcpy(scales + ((g * 2 + 1) * panel_rows + r) * 2, row.quant_biases + g * 2, 2);
  }
}

template <typename T>
void put_scales(const Matrix& m, const MatrixRow& row, int r, std::byte* scales) {
  T* out = reinterpret_cast<T*>(scales);
  for (int64_t g = 0; g < m.columns / m.group_size; ++g) {
    out[g * 2 * panel_rows + r] = from_float<T>(scale_at(m, row, g));
    out[(g * 2 + 1) * panel_rows + r] = from_float<T>(quant_bias_at(m, row, g));
  }
}

template <typename T>
void put_elements(const std::vector<float>& values, int r, std::byte* panel) {
  T* out = reinterpret_cast<T*>(panel);
  for (size_t c = 0; c < values.size(); ++c) out[c * panel_rows + size_t(r)] = from_float<T>(values[c]);
}

}  // namespace

PanelFormat format_of(const Matrix& placed) {
  // Codes and scales lie in `data` together; what is left of the source's tensors tells their types.
  return format_for(placed);
}

void CpuBackend::place_panel(const Matrix& m, int64_t matrix, int64_t first_row, const PanelFormat& f,
                             std::byte* panel) const {
  const auto rows = int(std::min<int64_t>(panel_rows, m.rows - first_row));
  if (!f.quantised()) {
    std::vector<float> values(size_t(m.columns));
    for (int r = 0; r < rows; ++r) {
      dequantize_row(m, matrix, first_row + r, values);
      if (f.kind == PanelKind::dense_bf16)
        put_elements<bf16>(values, r, panel);
      else
        put_elements<float>(values, r, panel);
    }
    return;
  }
  std::byte* scales = panel + f.code_bytes();
  const std::byte* codes[panel_rows];
  for (int r = 0; r < panel_rows; ++r) {
    const MatrixRow row = row_of(m, matrix, first_row + std::min(r, rows - 1));  // past the last: anything
    codes[r] = row.codes;
    if (f.kind == PanelKind::mxfp4)
      for (int64_t g = 0; g < m.columns / 32; ++g) scales[g * panel_rows + r] = row.scales[g];
    else if (f.wide_scales)
      put_scales<float>(m, row, r, scales);
    else if (m.scales.dtype() == DType::bf16 && row.quant_biases != nullptr)
      put_bf16_scales(m, row, r, scales);
    else
      put_scales<bf16>(m, row, r, scales);
  }
  const bool nibbles = f.kind != PanelKind::affine8;
  if (m.bits == (nibbles ? 4 : 8)) return kernels_.interleave(codes, m.columns * m.bits / 32, nibbles, panel);
  std::vector<uint32_t> words(size_t(panel_rows * m.columns / (nibbles ? 8 : 4)));  // codes of 2, 3, 5, 6 bits
  const size_t row_words = words.size() / panel_rows;
  for (size_t r = 0; r < panel_rows; ++r) {
    for (size_t w = 0; w < row_words; ++w)
      words[r * row_words + w] =
          nibbles ? eight_codes(codes[r], m.bits, int64_t(w) * 8) : four_bytes(codes[r], m.bits, int64_t(w) * 4);
    codes[r] = reinterpret_cast<const std::byte*>(&words[r * row_words]);
  }
  kernels_.interleave(codes, int64_t(row_words), nibbles, panel);
}

Matrix CpuBackend::place_panels(std::span<const Matrix> parts) {
  Matrix placed = parts[0];
  placed.layout = Layout::placed;
  placed.row_first = 0;
  placed.row_step = 1;
  for (const Matrix& part : parts.subspan(1)) placed.rows += part.rows;
  const PanelFormat f = format_for(parts[0]);
  if (f.quantised() && placed.columns % 32 != 0)
    throw Error(Fault::model, "a quantised matrix needs inputs in multiples of 32").with("inputs", placed.columns);
  const int64_t panels = (placed.rows + panel_rows - 1) / panel_rows;
  // The element type stays readable from the tensor: format_of() is asked at every product.
  const DType dtype = f.kind == PanelKind::dense_bf16  ? DType::bf16
                      : f.kind == PanelKind::dense_f32 ? DType::f32
                                                       : DType::u8;
  placed.data = allocate(dtype, {placed.matrices * panels * f.panel_bytes() / int64_t(size_of(dtype))});
  placed.quant_biases = Tensor();
  placed_bytes_ += placed.data.bytes();

  int64_t first_panel = 0;
  for (const Matrix& part : parts) {
    if (parts.size() > 1 && part.rows % panel_rows != 0)
      throw Error(Fault::model, "stacked matrices need outputs in multiples of 16").with("outputs", part.rows);
    if (format_for(part).kind != f.kind || part.group_size != parts[0].group_size ||
        part.columns != placed.columns || part.bits != parts[0].bits ||
        format_for(part).wide_scales != f.wide_scales)
      throw Error(Fault::model, "q, k and v are quantised differently");
    const int64_t part_panels = (part.rows + panel_rows - 1) / panel_rows;
    threads_.for_each(part.matrices * part_panels, [&](int64_t i) {
      const int64_t matrix = i / part_panels, panel = i % part_panels;
      std::byte* at =
          static_cast<std::byte*>(placed.data.raw()) + (matrix * panels + first_panel + panel) * f.panel_bytes();
      place_panel(part, matrix, panel * panel_rows, f, at);
    });
    first_panel += part_panels;
  }
  return placed;
}

Linear CpuBackend::place(std::span<const Linear> parts) {
  std::vector<Matrix> matrices;
  for (const Linear& part : parts) matrices.push_back(part.weight);
  Linear placed{.weight = place_panels(matrices), .bias = {}};
  if (parts[0].bias.empty()) return placed;
  placed.bias = allocate(DType::f32, {placed.weight.rows});
  float* out = placed.bias.data<float>();
  for (const Linear& part : parts)
    for (int64_t i = 0; i < part.outputs(); ++i) *out++ = load_float(part.bias.dtype(), part.bias.raw(), i);
  return placed;
}

ExpertLinear CpuBackend::place(const ExpertLinear& experts) {
  return {.weight = place_panels({&experts.weight, 1}),
          .bias = experts.bias.empty() ? Tensor() : place(experts.bias)};
}

Tensor CpuBackend::copy(const Tensor& from) {
  if (from.empty()) return {};
  constexpr size_t piece = size_t(4) << 20;
  const Tensor placed = allocate(from.dtype(), from.shape());
  const auto* source = static_cast<const std::byte*>(from.raw());
  auto* target = static_cast<std::byte*>(placed.raw());
  threads_.for_each(int64_t((from.bytes() + piece - 1) / piece), [&](int64_t i) {
    const size_t begin = size_t(i) * piece;
    std::memcpy(target + begin, source + begin, std::min(piece, from.bytes() - begin));
  });
  placed_bytes_ += from.bytes();
  return placed;
}

Matrix CpuBackend::place_table(const Matrix& embedding) {
  Matrix placed = embedding;
  placed.data = copy(embedding.data);
  placed.scales = copy(embedding.scales);
  placed.quant_biases = copy(embedding.quant_biases);
  return placed;
}

Tensor CpuBackend::place(const Tensor& vector) {
  const Tensor placed = allocate(DType::f32, vector.shape());
  for (int64_t i = 0; i < vector.elements(); ++i)
    placed.data<float>()[i] = load_float(vector.dtype(), vector.raw(), i);
  return placed;
}

}  // namespace chorus::cpu
