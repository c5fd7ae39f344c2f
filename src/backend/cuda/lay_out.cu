// From rows as they lie in the files to panels, on the device: the host only copies bytes. For the codings that
// whole models have; lay_out.cpp does the others, and says what must come out.
#include <cstring>

#include "backend/cuda/device.cuh"
#include "chorus/error.h"
#include "ops/dequantize.h"

namespace chorus::cuda {
namespace {

constexpr int64_t half_bytes = int64_t(16) << 20, rows_of_a_task = 16;
constexpr int lay_out_threads = 256, most_chunk_bytes = 4096 + 512;  // of 8-bit codes, groups of 32

/// Some rows of a matrix, packed: all codes, then all scales, then all quant_biases.
struct RawRows {
  const std::byte* data;
  int64_t rows, code_bytes, scale_bytes;  ///< the latter two of a row; quant_biases are as long as scales
  int64_t parts;                          ///< 1, or 2 with quant_biases

  __host__ __device__ int64_t scales_at(int64_t row) const { return rows * code_bytes + row * scale_bytes; }
  __host__ __device__ int64_t biases_at(int64_t row) const { return scales_at(rows) + row * scale_bytes; }
  __host__ __device__ int64_t row_bytes() const { return code_bytes + parts * scale_bytes; }
};

/// Code of a row and column; 0 past the matrix.
__device__ inline uint32_t raw_code(const RawRows& raw, const PanelFormat& f, int64_t row, int64_t column) {
  if (row >= raw.rows || column >= f.columns) return 0;
  const std::byte* codes = raw.data + row * raw.code_bytes;
  return f.kind == PanelKind::affine8 ? uint32_t(codes[column])
                                      : uint32_t(codes[column / 2]) >> (column % 2 * 4) & 15;
}

__device__ inline uint32_t two_bytes(const std::byte* at) {
  return uint32_t(at[0]) | uint32_t(at[1]) << 8;
}

/// A scale, with its quant_bias, as panels hold it; 0 past the matrix.
__device__ inline uint32_t panel_scale(const RawRows& raw, const PanelFormat& f, int64_t row, int64_t column) {
  if (row >= raw.rows || column >= f.columns) return 0;
  const int64_t group = column / f.group_size;
  if (f.kind == PanelKind::mxfp4) return uint32_t(raw.data[raw.scales_at(row) + group]) + e8m0_shift;
  const float scale = bf16_value(two_bytes(raw.data + raw.scales_at(row) + 2 * group));
  return __float_as_uint(ldexpf(scale, affine_shift(f.code_bits() == 4))) >> 16 |
         two_bytes(raw.data + raw.biases_at(row) + 2 * group) << 16;
}

/// A chunk of a panel per block, put together in shared memory. Grid: chunks x panels.
__global__ void __launch_bounds__(lay_out_threads) lay_out_kernel(RawRows raw, PanelFormat f, std::byte* panels) {
  __shared__ uint32_t record[most_chunk_bytes / 4];
  const int64_t first_row = int64_t(blockIdx.y) * panel_rows, first_column = int64_t(blockIdx.x) * chunk_columns;
  const int words = int(f.chunk_bytes() / 4);
  for (int w = int(threadIdx.x); w < words; w += lay_out_threads) record[w] = 0;
  __syncthreads();
  for (int i = int(threadIdx.x); i < panel_rows * chunk_columns; i += lay_out_threads) {
    const int row = i / chunk_columns, column = i % chunk_columns;
    const uint32_t code = raw_code(raw, f, first_row + row, first_column + column);
    const int at = int(f.code_at(row, column));
    atomicOr(&record[at / 4], f.code_bits() == 4 ? f.in_word(row, column, code) : code << (8 * (at % 4)));
  }
  for (int i = int(threadIdx.x); i < panel_rows * f.chunk_groups(); i += lay_out_threads) {
    const int row = i % panel_rows, column = i / panel_rows * 32, at = int(f.scale_at(row, column));
    const uint32_t scale = panel_scale(raw, f, first_row + row, first_column + column);
    atomicOr(&record[at / 4], scale << (8 * (at % 4)));
  }
  __syncthreads();
  auto* const out =
      reinterpret_cast<uint32_t*>(panels + blockIdx.y * f.panel_bytes() + blockIdx.x * f.chunk_bytes());
  for (int w = int(threadIdx.x); w < words; w += lay_out_threads) out[w] = record[w];
}

RawRows raw_rows(const Matrix& m) {
  const int64_t groups = m.columns / m.group_size;
  return {.data = nullptr,
          .rows = 0,
          .code_bytes = m.columns * m.bits / 8,
          .scale_bytes = groups * int64_t(size_of(m.scales.dtype())),
          .parts = m.quant_biases.empty() ? 1 : 2};
}

/// `n` rows from begin + first on into their places in `half`, which begins with row `begin`.
void pack_rows(const Stack& stack, int64_t matrix, int64_t begin, int64_t first, int64_t n, const RawRows& raw,
               std::byte* half) {
  for (int64_t r = first; r < first + n; ++r) {
    const auto [part, index] = stack.find(begin + r);
    const MatrixRow row = row_of(*part, matrix, index);
    std::memcpy(half + r * raw.code_bytes, row.codes, size_t(raw.code_bytes));
    std::memcpy(half + raw.scales_at(r), row.scales, size_t(raw.scale_bytes));
    if (raw.parts == 2) std::memcpy(half + raw.biases_at(r), row.quant_biases, size_t(raw.scale_bytes));
  }
}

}  // namespace

bool CudaBackend::lays_out(const Matrix& m, const PanelFormat& f) {
  return f.quantised() && !f.wide_scales && (m.bits == 4 || m.bits == 8) && m.columns % 2 == 0;
}

void CudaBackend::stream_rows(const Stack& stack, const PanelFormat& f, std::byte* to) {
  RawRows raw = raw_rows(stack.parts[0]);
  const int64_t per_half = half_bytes / (panel_rows * raw.row_bytes());
  if (per_half == 0)
    throw Error(Fault::model, "a matrix has too many inputs for this backend").with("inputs", f.columns);
  if (raw_halves_.empty()) raw_halves_ = allocate(DType::u8, {2 * half_bytes});
  for (int64_t matrix = 0; matrix < stack.parts[0].matrices; ++matrix)
    for (int64_t panel = 0; panel < f.panels(); panel += per_half) {
      const int64_t panels = std::min(per_half, f.panels() - panel), begin = panel * panel_rows;
      raw.rows = std::min(panels * panel_rows, f.rows - begin);
      auto* const on_device = static_cast<std::byte*>(raw_halves_.raw()) + staging_.next * half_bytes;
      std::byte* const half = next_half();
      threads_.for_each((raw.rows + rows_of_a_task - 1) / rows_of_a_task, [&](int64_t task) {
        const int64_t row = task * rows_of_a_task;
        pack_rows(stack, matrix, begin, row, std::min(rows_of_a_task, raw.rows - row), raw, half);
      });
      send_half(on_device, size_t(raw.rows * raw.row_bytes()));
      raw.data = on_device;
      launch("lay_out", lay_out_kernel, {.x = f.chunks(), .y = panels, .threads = lay_out_threads}, raw, f,
             to + (matrix * f.panels() + panel) * f.panel_bytes());
    }
}

}  // namespace chorus::cuda
