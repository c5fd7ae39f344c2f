// The kernels for tile registers give every token the bits that the AVX-512 kernels give it: on real tiles where
// this processor has them, and on emulated ones wherever AVX-512 runs.
#include <gtest/gtest.h>

#include "backend/emulated_kernels.h"
#include "ops/random_ops.h"

namespace chorus::test {
namespace {

using cpu::Kernels;
using cpu::PanelFormat;
using cpu::PanelKind;

const Kernels* named(std::string_view name) {
  for (const Kernels* kernels : cpu::available_kernels())
    if (kernels->name == name) return kernels;
  return nullptr;
}

/// Quantised inputs of so many tokens, one behind the other.
struct Inputs {
  Inputs(Random& random, const Kernels& kernels, int64_t tokens, int64_t columns)
      : values(random.normals(memory, {tokens, columns})),
        codes(size_t(tokens * columns)),
        scales(codes.size() / 32),
        scaled_sums(codes.size() / 32),
        offsets(codes.size() / 32) {
    for (int64_t t = 0; t < tokens; ++t) {
      const auto at = size_t(t * columns), block = at / 32;
      const float* x = values.data<float>() + at;
      kernels.quantise(x, columns, &codes[at], &scales[block], &scaled_sums[block], &offsets[block]);
      rows.push_back({x, &codes[at], &scales[block], &scaled_sums[block], &offsets[block]});
    }
  }
  Memory memory;
  Tensor values;
  std::vector<int8_t> codes;
  std::vector<float> scales, scaled_sums;
  std::vector<int32_t> offsets;
  std::vector<cpu::TokenInputs> rows;
};

struct Case {
  const char* why;
  PanelFormat format;
};
const Case cases[] = {
    {"one block", {.kind = PanelKind::mxfp4, .columns = 32}},
    {"an odd number of blocks", {.kind = PanelKind::mxfp4, .columns = 96}},
    {"one chunk of blocks", {.kind = PanelKind::mxfp4, .columns = 512}},
    {"a chunk and a block", {.kind = PanelKind::mxfp4, .columns = 544}},
    {"gpt-oss experts", {.kind = PanelKind::mxfp4, .columns = 2880}},
    {"gpt-oss attention", {.kind = PanelKind::affine8, .columns = 2880, .group_size = 64}},
    {"bytes, groups of one block", {.kind = PanelKind::affine8, .columns = 544, .group_size = 32}},
    {"f32 scales", {.kind = PanelKind::affine8, .wide_scales = true, .columns = 256, .group_size = 128}},
    {"nibbles", {.kind = PanelKind::affine4, .columns = 1024, .group_size = 64}},
    {"nibbles, groups of one block", {.kind = PanelKind::affine4, .columns = 32, .group_size = 32}},
};

/// A panel whose codes are random bytes and whose scales are of the size that models have.
std::vector<std::byte> random_panel(Random& random, const PanelFormat& f) {
  std::vector<std::byte> panel(size_t(f.panel_bytes()));
  Memory memory;
  const Tensor noise = random.normals(memory, {f.panel_bytes()});
  for (int64_t i = 0; i < f.code_bytes(); ++i) panel[size_t(i)] = std::byte(int(noise.data<float>()[i] * 100));
  for (int64_t i = f.code_bytes(); i < f.panel_bytes(); ++i) {
    const float v = noise.data<float>()[i];
    if (f.kind == PanelKind::mxfp4) {
      panel[size_t(i)] = std::byte(120 + int(v * 4));
    } else if (f.wide_scales) {
      if (i % 4 == 0) std::memcpy(&panel[size_t(i)], &v, 4);
    } else if (i % 2 == 0) {
      const bf16 narrow = from_float<bf16>(v);
      std::memcpy(&panel[size_t(i)], &narrow, 2);
    }
  }
  return panel;
}

void expect_same_bits(const Kernels& tiles, const Kernels& avx512) {
  constexpr int64_t stride = 19;  // lanes past a row's 16 are others'
  Random random(5);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    const std::vector<std::byte> panel = random_panel(random, c.format);
    const Inputs x(random, avx512, 50, c.format.columns);
    const Tensor bias = random.normals(const_cast<Inputs&>(x).memory, {cpu::panel_rows});
    for (size_t tokens = 1; tokens <= 50; ++tokens) {
      std::vector<float> expected(tokens * stride, 7.f), actual(expected);
      const auto product = [&](std::vector<float>& out) {
        return cpu::PanelProduct{.format = c.format,
                                 .panel = panel.data(),
                                 .next = tokens % 2 == 0 ? panel.data() : nullptr,
                                 .bias = tokens % 3 == 0 ? bias.data<float>() : nullptr,
                                 .x = std::span(x.rows).first(tokens),
                                 .out = out.data(),
                                 .out_stride = stride};
      };
      avx512.panel_fast(product(expected));
      tiles.panel_fast(product(actual));
      ASSERT_EQ(0, std::memcmp(expected.data(), actual.data(), actual.size() * sizeof(float))) << tokens;
    }
  }
}

TEST(Tiles, EmulatedOnesGiveTheBitsOfAvx512) {
  const Kernels* const avx512 = named("avx512");
  if (avx512 == nullptr) GTEST_SKIP() << "SKIPPED: this processor has no AVX-512 VNNI";
  expect_same_bits(*emulated_tile_kernels(), *avx512);
}

TEST(Tiles, RealOnesGiveTheBitsOfAvx512) {
  const Kernels* const amx = named("amx");
  if (amx == nullptr) GTEST_SKIP() << "SKIPPED: this processor has no AMX int8";
  expect_same_bits(*amx, *named("avx512"));
}

TEST(Tiles, AreTakenUnaskedWhereTheyAre) {
  const Kernels* const amx = named("amx");
  if (amx == nullptr) GTEST_SKIP() << "SKIPPED: this processor has no AMX int8";
  EXPECT_EQ(cpu::available_kernels().front(), amx);
}

}  // namespace
}  // namespace chorus::test
