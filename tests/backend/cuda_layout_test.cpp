// The CUDA backend's panels, laid out on the host and read back by the formula that its kernels use.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>

#include "backend/cuda/lay_out.h"
#include "ops/dequantize.h"
#include "ops/random_ops.h"

namespace chorus::test {
namespace {

using cuda::PanelFormat;
using cuda::PanelKind;

/// An element as a kernel reads it.
float element(const std::byte* panel, const PanelFormat& f, int row, int64_t column) {
  const std::byte* at = panel + f.code_at(row, column);
  if (f.kind == PanelKind::bf16) return to_float(load_unaligned<bf16>(at));
  if (f.kind == PanelKind::f32) return load_unaligned<float>(at);
  const std::byte* scale = panel + f.scale_at(row, column);
  const uint32_t code =
      f.kind == PanelKind::affine8 ? uint32_t(*at) : f.from_word(row, column, load_unaligned<uint32_t>(at));
  if (f.kind == PanelKind::mxfp4) {
    const int e8m0 = int(*scale) - cuda::e8m0_shift;
    return int(*scale) == 0 ? 0 : decode_e8m0(uint32_t(e8m0)) * decode_e2m1(code);
  }
  if (f.wide_scales) return load_unaligned<float>(scale) * float(code) + load_unaligned<float>(scale + 4);
  return std::ldexp(to_float(load_unaligned<bf16>(scale)), -cuda::affine_shift(f.code_bits() == 4)) * float(code) +
         to_float(load_unaligned<bf16>(scale + 2));
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
      cuda::lay_out_panel({{&m, 1}}, matrix, p, f, panel.data());
      for (int r = 0; r < cuda::panel_rows; ++r) {
        const int64_t row = p * cuda::panel_rows + r;
        if (row < rows) dequantize_row(m, matrix, row, expected);
        for (int64_t c = 0; c < f.padded_columns(); ++c) {
          const float value = element(panel.data(), f, r, c);
          ASSERT_EQ(value, row < rows && c < columns ? expected[size_t(c)] : 0)
              << "row " << row << ", column " << c;
        }
      }
    }
}

TEST(CudaLayout, EveryCodingReadsBack) {
  for (const Coded& coded : all_codings()) expect_same_elements(coded, 1, 69, 384);
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

TEST(CudaLayout, LargeScalesOfMxfp4AreHeldAsBf16) {
  Memory memory;
  Random random(7);
  const Matrix m = random_matrix(memory, random, mxfp4, 1, 16, 64);
  EXPECT_EQ(cuda::format_for(m).kind, PanelKind::mxfp4);
  auto* const scales = static_cast<uint8_t*>(m.scales.raw());
  scales[3] = 128;
  scales[4] = 0;
  EXPECT_EQ(cuda::format_for(m).kind, PanelKind::mxfp4);
  scales[3] = 129;
  EXPECT_EQ(cuda::format_for(m).kind, PanelKind::bf16);
}

TEST(CudaLayout, LargeAffineScalesAreHeldAsBf16) {
  Memory memory;
  Random random(7);
  for (const int bits : {4, 8}) {
    const Matrix m = random_matrix(memory, random, {Coding::affine, bits, 64}, 1, 16, 64);
    auto* const scales = static_cast<bf16*>(m.scales.raw());
    const float limit = bits == 4 ? 0.5f : 0x1p-5f;
    for (int64_t i = 0; i < m.scales.elements(); ++i) scales[i] = from_float<bf16>(limit * 0.99f);
    EXPECT_EQ(cuda::format_for(m).kind, bits == 4 ? PanelKind::affine4 : PanelKind::affine8);
    scales[3] = from_float<bf16>(-limit);
    EXPECT_EQ(cuda::format_for(m).kind, PanelKind::bf16);
  }
}

struct StackCase {
  const char* why;
  Coded first, second;
  float large_scale;  // of the second, or 0
  PanelKind kind;
};
constexpr Coded wide = {Coding::affine, 8, 64, DType::f32}, narrow_groups = {Coding::affine, 8, 32};
const StackCase stack_cases[] = {
    {"alike", affine8, affine8, 0, PanelKind::affine8},
    {"one scale is too large", affine8, affine8, 1, PanelKind::bf16},
    {"bits", affine4, affine8, 0, PanelKind::bf16},
    {"bits that fill the same place", affine4, {Coding::affine, 3, 64}, 0, PanelKind::bf16},
    {"groups", affine8, narrow_groups, 0, PanelKind::bf16},
    {"the scales' type", affine8, wide, 0, PanelKind::bf16},
    {"one is not quantised", dense_bf16, affine8, 0, PanelKind::bf16},
    {"one needs f32", affine8, dense_f32, 0, PanelKind::f32},
    {"the other does", dense_f32, mxfp4, 0, PanelKind::f32},
};

TEST(CudaLayout, PartsThatDifferAreHeldAsTheirElements) {
  for (const StackCase& c : stack_cases) {
    SCOPED_TRACE(c.why);
    Memory memory;
    Random random(7);
    const Matrix parts[] = {random_matrix(memory, random, c.first, 1, 20, 128),
                            random_matrix(memory, random, c.second, 1, 30, 128)};
    if (c.large_scale > 0) static_cast<bf16*>(parts[1].scales.raw())[3] = from_float<bf16>(c.large_scale);
    PanelFormat f = cuda::format_for(parts);
    EXPECT_EQ(f.kind, c.kind);
    f.rows = 50;
    std::vector<std::byte> panel(size_t(f.panel_bytes()));
    cuda::lay_out_panel({parts}, 0, 0, f, panel.data());
    std::vector<float> expected(128);
    for (int row = 0; row < 50; ++row) {
      dequantize_row(parts[row < 20 ? 0 : 1], 0, row < 20 ? row : row - 20, expected);
      for (int64_t column = 0; column < 128; ++column) {
        const float value = expected[size_t(column)];
        EXPECT_EQ(element(panel.data(), f, row, column),
                  f.kind == PanelKind::bf16 ? to_float(from_float<bf16>(value)) : value);
      }
    }
  }
}

TEST(CudaLayout, AWordOfCodesMakesFourRegistersOfBf16) {
  Random random(5);
  for (int round = 0; round < 10000; ++round) {
    uint32_t codes[4][2], word = 0;
    for (int reg = 0; reg < 4; ++reg)
      for (int odd = 0; odd < 2; ++odd) {
        codes[reg][odd] = uint32_t(random.below(16));
        const uint32_t bits = cuda::spread_e2m1(reg, odd, codes[reg][odd]);
        EXPECT_EQ(word & bits, 0u);
        word |= bits;
      }
    for (int reg = 0; reg < 4; ++reg) {
      const auto bf16 = [](uint32_t code) {
        return (code >> 3) << 15 | (code & 7) << 6;
      };  // sign, exponent, mantissa
      const uint32_t bits =
          reg < 3 ? std::rotl(word, cuda::e2m1_rotation(reg)) : (word & cuda::e2m1_rest) * cuda::e2m1_moves;
      EXPECT_EQ(bits & cuda::e2m1_places, bf16(codes[reg][0]) | bf16(codes[reg][1]) << 16) << "register " << reg;
      for (int odd = 0; odd < 2; ++odd) EXPECT_EQ(cuda::gather_e2m1(reg, odd, word), codes[reg][odd]);
    }
  }
}

TEST(CudaLayout, EveryCodeHasItsOwnPlace) {
  for (const PanelKind kind :
       {PanelKind::mxfp4, PanelKind::affine4, PanelKind::affine8, PanelKind::bf16, PanelKind::f32}) {
    const PanelFormat f{.kind = kind, .wide_scales = false, .group_size = 32, .rows = 64, .columns = 192};
    std::set<std::pair<int64_t, uint32_t>> places;  // byte, bits of a word of 4-bit codes
    for (int r = 0; r < cuda::panel_rows; ++r)
      for (int64_t c = 0; c < f.columns; ++c) {
        ASSERT_LE(f.code_at(r, c) % f.chunk_bytes() + std::max(1, f.code_bits() / 8), f.code_bytes());
        places.insert({f.code_at(r, c), f.code_bits() == 4 ? f.in_word(r, c, 15) : 0});
      }
    EXPECT_EQ(places.size(), size_t(64 * 192));
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
  // PTX ISA, mma.m16n8k16 and wgmma.m64nNk16, A of bf16: register r of lane l of warp w holds row 16 w + l / 4 +
  // 8 * (r % 2), columns l % 4 * 2 + 8 * (r / 2) and the next.
  const PanelFormat f{.kind = PanelKind::bf16, .wide_scales = false, .group_size = 0, .rows = 64, .columns = 64};
  for (int warp = 0; warp < 4; ++warp)
    for (int lane = 0; lane < 32; ++lane)
      for (int mma = 0; mma < 4; ++mma)
        for (int r = 0; r < 4; ++r)
          for (int i = 0; i < 2; ++i)
            EXPECT_EQ(f.code_at(warp * 16 + lane / 4 + 8 * (r % 2), mma * 16 + lane % 4 * 2 + 8 * (r / 2) + i),
                      ((warp * 4 + mma) * 32 + lane) * 16 + r * 4 + i * 2);
}

}  // namespace
}  // namespace chorus::test
