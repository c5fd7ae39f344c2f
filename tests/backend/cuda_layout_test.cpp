// The CUDA backend's panels, laid out on the host and read back by the formula that its kernels use.
#include <gtest/gtest.h>

#include <set>

#include "backend/cuda/lay_out.h"
#include "ops/dequantize.h"
#include "ops/random_ops.h"

namespace chorus::test {
namespace {

using cuda::PanelFormat;
using cuda::PanelKind;

/// An element as a kernel reads it.
float element(const std::byte* panel, const PanelFormat& f, Coding coding, int row, int64_t column) {
  const std::byte* at = panel + f.code_at(row, column);
  if (f.kind == PanelKind::bf16) return to_float(load_unaligned<bf16>(at));
  if (f.kind == PanelKind::f32) return load_unaligned<float>(at);
  const std::byte* scales = panel + f.scale_at(row, column / f.group_size);
  const uint32_t code = f.kind == PanelKind::affine8 ? uint32_t(*at) : uint32_t(*at) >> f.shift_at(column) & 15;
  if (coding == Coding::mxfp4) return decode_e8m0(uint32_t(*scales)) * decode_e2m1(code);
  if (f.wide_scales) return load_unaligned<float>(scales) * float(code) + load_unaligned<float>(scales + 4);
  return to_float(load_unaligned<bf16>(scales)) * float(code) + to_float(load_unaligned<bf16>(scales + 2));
}

void expect_same_elements(const Coded& coded, int64_t matrices, int64_t rows, int64_t columns) {
  SCOPED_TRACE(coded.name() + ", " + std::to_string(rows) + " x " + std::to_string(columns));
  Memory memory;
  Random random(7);
  const Matrix m = random_matrix(memory, random, coded, matrices, rows, columns);
  const PanelFormat f = cuda::format_for(m);
  std::vector<std::byte> panel(size_t(f.panel_bytes()), std::byte(0xff));
  std::vector<float> expected(static_cast<size_t>(columns));
  for (int64_t matrix = 0; matrix < matrices; ++matrix)
    for (int64_t p = 0; p < f.panels(); ++p) {
      cuda::lay_out_panel(m, matrix, p, f, panel.data());
      for (int r = 0; r < cuda::panel_rows; ++r) {
        const int64_t row = p * cuda::panel_rows + r;
        if (row < rows) dequantize_row(m, matrix, row, expected);
        for (int64_t c = 0; c < f.padded_columns(); ++c) {
          const float value = element(panel.data(), f, coded.coding, r, c);
          ASSERT_EQ(value, row < rows && c < columns ? expected[size_t(c)] : 0)
              << "row " << row << ", column " << c;
        }
      }
    }
}

TEST(CudaLayout, EveryCodingReadsBack) {
  for (const Coded& coded : all_codings()) expect_same_elements(coded, 1, 21, 384);
}

struct Case {
  const char* why;
  Coded coded;
  int64_t matrices, rows, columns;
};
const Case cases[] = {
    {"gpt-oss experts", mxfp4, 2, 48, 2880},
    {"gpt-oss projections", affine8, 1, 32, 2880},
    {"half a chunk", mxfp4, 1, 16, 32},
    {"half a chunk, groups of 32", {Coding::affine, 4, 32}, 1, 16, 96},
    {"columns of no format", dense_bf16, 1, 3, 37},
    {"one element", dense_f32, 1, 1, 1},
};

TEST(CudaLayout, ShapesReadBack) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    expect_same_elements(c.coded, c.matrices, c.rows, c.columns);
  }
}

TEST(CudaLayout, EveryCodeHasItsOwnPlace) {
  for (const PanelKind kind :
       {PanelKind::mxfp4, PanelKind::affine4, PanelKind::affine8, PanelKind::bf16, PanelKind::f32}) {
    const PanelFormat f{.kind = kind, .wide_scales = false, .group_size = 32, .rows = 16, .columns = 192};
    std::set<std::pair<int64_t, int>> places;
    for (int r = 0; r < cuda::panel_rows; ++r)
      for (int64_t c = 0; c < f.columns; ++c) {
        ASSERT_LE(f.code_at(r, c) + std::max(1, f.code_bits() / 8), f.code_bytes());
        places.insert({f.code_at(r, c), f.shift_at(c)});
      }
    EXPECT_EQ(places.size(), size_t(16 * 192));
  }
}

TEST(CudaLayout, RealSizesArePaddedByLittle) {
  // Rows and columns of gpt-oss-20b: whole panels and chunks.
  const PanelFormat experts{
      .kind = PanelKind::mxfp4, .wide_scales = false, .group_size = 32, .rows = 2880, .columns = 2880};
  EXPECT_EQ(experts.panels() * experts.panel_bytes(), 2880 * (2880 / 2 + 2880 / 32));
  const PanelFormat head{
      .kind = PanelKind::affine8, .wide_scales = false, .group_size = 64, .rows = 201088, .columns = 2880};
  EXPECT_EQ(head.panels() * head.panel_bytes(), int64_t(201088) * (2880 + 2880 / 64 * 4));
}

TEST(CudaLayout, FragmentsAreThoseOfMma) {
  // PTX ISA, mma.m16n8k16, A of bf16: register r of lane l holds row l / 4 + 8 * (r % 2). Here its columns are the
  // lane's own 16, four per mma, two per register.
  const PanelFormat f{.kind = PanelKind::bf16, .wide_scales = false, .group_size = 0, .rows = 16, .columns = 64};
  for (int lane = 0; lane < 32; ++lane)
    for (int s = 0; s < 4; ++s)
      for (int r = 0; r < 4; ++r)
        for (int i = 0; i < 2; ++i)
          EXPECT_EQ(f.code_at(lane / 4 + 8 * (r % 2), lane % 4 * 16 + s * 4 + r / 2 * 2 + i),
                    (s * 32 + lane) * 16 + r * 4 + i * 2);
}

}  // namespace
}  // namespace chorus::test
