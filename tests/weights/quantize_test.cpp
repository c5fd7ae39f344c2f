#include "ops/quantize.h"

#include <cmath>
#include <vector>

#include "goldens.h"
#include "ops/dequantize.h"
#include "weights/safetensors.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

std::span<const std::byte> bytes_of(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor* t = file.find(name);
  return t == nullptr ? std::span<const std::byte>() : file.bytes(*t);
}

struct Quantised {
  std::vector<std::byte> codes, scales, quant_biases;
};

size_t differences(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a.size() != b.size()) return std::max(a.size(), b.size());
  size_t n = 0;
  for (size_t i = 0; i < a.size(); ++i) n += a[i] != b[i];
  return n;
}

constexpr int64_t rows = 32, columns = 384;

std::vector<float> row_of(const SafetensorsFile& file, DType dtype, int64_t r) {
  const auto stored = bytes_of(file, dtype == DType::f32 ? "w" : "w_bf16");
  std::vector<float> row(columns);
  for (int64_t c = 0; c < columns; ++c) row[size_t(c)] = load_float(dtype, stored.data(), r * columns + c);
  return row;
}

TEST(Quantize, AffineIsMlxsBitForBit) {
  const std::string quant = "ops/quant.safetensors";
  if (test::golden(quant).empty()) GTEST_SKIP() << test::no_golden(quant);
  const SafetensorsFile file(test::golden(quant));
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {32, 64, 128})
      for (const DType dtype : {DType::f32, DType::bf16}) {
        std::string prefix = "affine_b";
        prefix.append(std::to_string(bits)).append("_g").append(std::to_string(group));
        prefix.append(dtype == DType::f32 ? ".f32." : ".bf16.");
        SCOPED_TRACE(prefix);
        const size_t row_bytes = size_t(columns * bits / 8), row_scales = size_t(columns / group) * size_of(dtype);
        std::vector<std::byte> codes(rows * row_bytes), scales(rows * row_scales), biases(rows * row_scales);
        for (int64_t r = 0; r < rows; ++r)
          quantize_affine_row(row_of(file, dtype, r), bits, group, dtype, &codes[size_t(r) * row_bytes],
                              &scales[size_t(r) * row_scales], &biases[size_t(r) * row_scales]);
        EXPECT_EQ(differences(codes, bytes_of(file, prefix + "wq")), 0u);
        EXPECT_EQ(differences(scales, bytes_of(file, prefix + "scales")), 0u);
        EXPECT_EQ(differences(biases, bytes_of(file, prefix + "biases")), 0u);
      }
}

TEST(Quantize, Mxfp4IsMlxsBitForBit) {
  const std::string quant = "ops/quant.safetensors";
  if (test::golden(quant).empty()) GTEST_SKIP() << test::no_golden(quant);
  const SafetensorsFile file(test::golden(quant));
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::string prefix = dtype == DType::f32 ? "mxfp4_b4_g32.f32." : "mxfp4_b4_g32.bf16.";
    SCOPED_TRACE(prefix);
    std::vector<std::byte> codes(rows * columns / 2);
    std::vector<uint8_t> scales(rows * columns / 32);
    for (int64_t r = 0; r < rows; ++r)
      quantize_mxfp4_row(row_of(file, dtype, r), dtype, &codes[size_t(r * columns / 2)],
                         &scales[size_t(r * columns / 32)]);
    EXPECT_EQ(differences(codes, bytes_of(file, prefix + "wq")), 0u);
    EXPECT_EQ(differences(std::as_bytes(std::span(scales)), bytes_of(file, prefix + "scales")), 0u);
  }
}

TEST(Quantize, FloatsRoundToHalvesAsIeeeSays) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 half{uint16_t(bits)};
    const float v = to_float(half);
    if (v != v) {
      EXPECT_NE(to_float(from_float<f16>(v)), to_float(from_float<f16>(v)));
      continue;
    }
    ASSERT_EQ(from_float<f16>(v).bits, bits);
    if ((bits & 0x7fff) >= 0x7bff) continue;
    const f16 next{uint16_t(bits + 1)};
    const float middle = (v + to_float(next)) / 2;  // exact: the tie goes to the even one
    ASSERT_EQ(from_float<f16>(middle).bits, bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(from_float<f16>(std::nextafter(middle, v)).bits, bits);
    ASSERT_EQ(from_float<f16>(std::nextafter(middle, to_float(next))).bits, bits + 1);
  }
  EXPECT_EQ(from_float<f16>(65519.996f).bits, 0x7bff);
  EXPECT_EQ(from_float<f16>(65520.f).bits, 0x7c00);
  EXPECT_EQ(from_float<f16>(-1e30f).bits, 0xfc00);
}

TEST(Quantize, GroupsOfZerosAndOfEqualValues) {
  for (const float value : {0.f, 3.f, -3.f, 1e-30f}) {
    SCOPED_TRACE(value);
    const std::vector<float> row(32, value);
    std::vector<std::byte> codes(32);
    float scale = -1, bias = -1;
    quantize_affine_row(row, 8, 32, DType::f32, codes.data(), &scale, &bias);
    EXPECT_EQ(scale * float(code_at(codes.data(), 8, 31)) + bias, value == 1e-30f ? 0 : value);
    uint8_t e8m0 = 0;
    quantize_mxfp4_row(row, DType::f32, codes.data(), &e8m0);
    EXPECT_NEAR(decode_e8m0(e8m0) * decode_e2m1(code_at(codes.data(), 4, 31)) / (value == 0 ? 1 : value),
                value == 0 ? 0 : 1, 0.34);
  }
}

}  // namespace
}  // namespace chorus
