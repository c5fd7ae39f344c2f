#include "ops/dequantize.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "goldens.h"
#include "weights/safetensors.h"
#include "weights/test_folder.h"
#include "weights/weights.h"

namespace chorus {
namespace {

Tensor stored(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor* t = file.find(name);
  if (t == nullptr) return {};
  return {t->dtype.value(), Shape(std::span<const int64_t>(t->sizes)),
          const_cast<std::byte*>(file.bytes(*t).data())};
}

uint32_t bits_of(float v) {
  return std::isnan(v) ? 0x7fc00000 : std::bit_cast<uint32_t>(v);
}

TEST(Dequantize, EveryFp4CodeUnderEveryScaleIsMlxsBitForBit) {
  const SafetensorsFile file(test::golden("ops/fp_tables.safetensors"));
  const Tensor mxfp4 = stored(file, "mxfp4_by_scale"), nvfp4 = stored(file, "nvfp4_by_scale");
  const Tensor e4m3 = stored(file, "mxfp8_e4m3_at_scale_127");
  // One row of all sixteen codes, twice, under each scale byte.
  std::vector<uint8_t> codes;
  for (int i = 0; i < 16; ++i) codes.push_back(uint8_t((2 * i & 15) | ((2 * i + 1) & 15) << 4));
  std::vector<float> out(32);
  for (int scale = 0; scale < 256; ++scale) {
    uint8_t scales[2] = {uint8_t(scale), uint8_t(scale)};
    Matrix m;
    m.coding = Coding::mxfp4;
    m.bits = 4;
    m.group_size = 32;
    m.rows = 1;
    m.columns = 32;
    m.data = {DType::u32, {1, 4}, codes.data()};
    m.scales = {DType::u8, {1, 1}, scales};
    dequantize_row(m, 0, 0, out);
    for (int64_t i = 0; i < 32; ++i)
      ASSERT_EQ(bits_of(out[size_t(i)]), bits_of(load_float(DType::f32, mxfp4.raw(), scale * 16 + i % 16)))
          << "mxfp4 scale " << scale << " code " << i % 16;
    m.coding = Coding::nvfp4;
    m.group_size = 16;
    m.scales = {DType::u8, {1, 2}, scales};
    dequantize_row(m, 0, 0, out);
    for (int64_t i = 0; i < 32; ++i)
      ASSERT_EQ(bits_of(out[size_t(i)]), bits_of(load_float(DType::f32, nvfp4.raw(), scale * 16 + i % 16)))
          << "nvfp4 scale " << scale << " code " << i % 16;
    ASSERT_EQ(bits_of(decode_e4m3(uint32_t(scale))), bits_of(load_float(DType::f32, e4m3.raw(), scale)));
  }
}

float rounded(float v) {
  return to_float(from_float<bf16>(v));
}

TEST(Dequantize, EveryCodingIsMlxs) {
  const std::string quant = "ops/quant.safetensors";
  if (test::golden(quant).empty()) GTEST_SKIP() << test::no_golden(quant);
  const SafetensorsFile file(test::golden(quant));
  struct Case {
    std::string prefix;
    Coding coding;
    int bits, group_size;
  };
  std::vector<Case> cases = {{"mxfp4_b4_g32", Coding::mxfp4, 4, 32},
                             {"mxfp8_b8_g32", Coding::mxfp8, 8, 32},
                             {"nvfp4_b4_g16", Coding::nvfp4, 4, 16}};
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {32, 64, 128}) {
      std::string name = "affine_b";
      name.append(std::to_string(bits)).append("_g").append(std::to_string(group));
      cases.push_back({name, Coding::affine, bits, group});
    }
  for (const Case& c : cases)
    for (const std::string flavour : {".f32", ".bf16"}) {
      SCOPED_TRACE(c.prefix + flavour);
      Matrix m;
      m.coding = c.coding;
      m.bits = c.bits;
      m.group_size = c.group_size;
      m.data = stored(file, c.prefix + flavour + ".wq");
      m.scales = stored(file, c.prefix + flavour + ".scales");
      m.quant_biases = stored(file, c.prefix + flavour + ".biases");
      m.rows = 32;
      m.columns = 384;
      const Tensor expected = stored(file, c.prefix + flavour + ".dequant");
      ASSERT_FALSE(m.data.empty() || expected.empty());
      std::vector<float> out(384);
      int different = 0;
      for (int64_t row = 0; row < 32; ++row) {
        dequantize_row(m, 0, row, out);
        for (int64_t i = 0; i < 384; ++i) {
          const float wanted = load_float(expected.dtype(), expected.raw(), row * 384 + i);
          float ours = out[size_t(i)];
          if (expected.dtype() == DType::bf16 && c.coding == Coding::affine) {
            // MLX rounds the product, then the sum; we round neither. With its roundings the bits are equal;
            // without them the difference is at most one unit in the last place of the larger term and of the
            // result.
            const MatrixRow at = row_of(m, 0, row);
            const float scaled = scale_at(m, at, i / c.group_size) * float(code_at(at.codes, c.bits, i));
            const float bias = quant_bias_at(m, at, i / c.group_size);
            const float largest = std::max({std::abs(scaled), std::abs(bias), std::abs(wanted)});
            EXPECT_LE(std::abs(ours - wanted), largest == 0 ? 0 : std::ldexp(1.f, std::ilogb(largest) - 7));
            ours = rounded(rounded(scaled) + bias);
          }
          different += bits_of(ours) != bits_of(wanted);
        }
      }
      EXPECT_EQ(different, 0);
    }
}

TEST(Dequantize, OpenAisRowsAlternate) {
  const std::string model = "models/tiny-gpt-oss-hf-mxfp4";
  if (test::golden(model).empty()) GTEST_SKIP() << test::no_golden(model);
  Weights w = Weights::open(test::golden(model));
  const std::string experts = "model.layers.1.mlp.experts.";
  const ExpertLinear up = w.expert_linear(experts + "up_proj", 4, 128, 96);
  const ExpertLinear gate = w.expert_linear(experts + "gate_proj", 4, 128, 96);
  const ExpertLinear down = w.expert_linear(experts + "down_proj", 4, 96, 128);
  w.throw_problems();
  const SafetensorsFile file(test::golden(model) / "model.safetensors");
  const Tensor blocks = stored(file, experts + "gate_up_proj_blocks"),
               scales = stored(file, experts + "gate_up_proj_scales");
  const Tensor biases = stored(file, experts + "gate_up_proj_bias");
  std::vector<float> row(128);
  for (int64_t expert = 0; expert < 4; ++expert)
    for (int64_t r = 0; r < 96; ++r)
      for (const auto& [linear, first] : {std::pair{&gate, 0}, {&up, 1}}) {
        dequantize_row(linear->weight, expert, r, row);
        const int64_t at = expert * 192 + 2 * r + first;
        for (int64_t i = 0; i < 128; ++i) {
          const auto* bytes = static_cast<const uint8_t*>(blocks.raw()) + at * 64;
          const uint32_t code = bytes[i / 2] >> (i % 2 * 4) & 15;
          const float scale =
              std::ldexp(1.f, int(static_cast<const uint8_t*>(scales.raw())[at * 4 + i / 32]) - 127);
          ASSERT_EQ(row[size_t(i)], decode_e2m1(code) * scale);
        }
        ASSERT_EQ(load_float(DType::bf16, linear->bias.raw(), expert * 96 + r),
                  load_float(DType::bf16, biases.raw(), at));
      }
  EXPECT_EQ(down.weight.row_step, 1);
  EXPECT_TRUE(down.bias.shape() == (Shape{4, 128}));
}

}  // namespace
}  // namespace chorus
