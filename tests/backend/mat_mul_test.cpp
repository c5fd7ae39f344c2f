// MatMul on every instruction set and in both precisions, against reference/.
#include "backend/backends.h"
#include "ops/dequantize.h"
#include "ops/reference/reference.h"

namespace chorus::test {
namespace {

bool int8_inputs(bool fast, const Coded& coded) {
  return fast && (coded.coding == Coding::affine || coded.coding == Coding::mxfp4);
}

// What ops/mat_mul.h promises: f32 sums in order lose more the longer they are.
double allowed_error(bool fast, const Coded& coded, int64_t inputs) {
  return int8_inputs(fast, coded) ? 1e-2 : std::max(1e-6, 2e-8 * std::sqrt(double(inputs)));
}

Coded coded_of(const Matrix& m) {
  return {m.coding, m.bits, m.group_size, m.coding == Coding::affine ? m.scales.dtype() : m.data.dtype()};
}

/// The stacked parts times x, on every backend.
void expect_reference(const std::vector<Linear>& parts, int64_t tokens, Random& random) {
  Memory memory;
  const Coded coded = coded_of(parts[0].weight);
  int64_t outputs = 0;
  for (const Linear& part : parts) outputs += part.outputs();
  const Tensor x = random.normals(memory, {tokens, parts[0].inputs()});
  reference::Values expected(size_t(tokens * outputs));
  int64_t first = 0;
  for (const Linear& part : parts) {
    const reference::Values y = reference::mat_mul({.x = x, .linear = part, .out = {}});
    for (int64_t t = 0; t < tokens; ++t)
      std::copy_n(&y[size_t(t * part.outputs())], part.outputs(), &expected[size_t(t * outputs + first)]);
    first += part.outputs();
  }
  for (const auto& [name, fast, backend] : backends()) {
    SCOPED_TRACE(name + ", " + coded.name());
    const Placed<Linear> placed(*backend, parts);
    const Tensor out = result(memory, {tokens, outputs});
    const MatMul op{.x = x, .linear = placed.linear, .out = out};
    run(*backend, op);
    EXPECT_LE(relative_l2(out.values<float>(), expected), allowed_error(fast, coded, x.size(1)));
    expect_residual_added(*backend, op);
  }
}

void expect_reference(const Coded& coded, int64_t outputs, int64_t inputs, int64_t tokens, bool bias) {
  Memory memory;
  Random random(1);
  expect_reference({random_linear(memory, random, coded, outputs, inputs, bias)}, tokens, random);
}

TEST(MatMul, EveryCoding) {
  for (const Coded& coded : all_codings()) expect_reference(coded, 37, 384, 9, true);
}

struct Case {
  const char* why;
  Coded coded;
  int64_t outputs, inputs, tokens;
  bool bias;
};
const Case cases[] = {
    {"smallest dense", dense_f32, 1, 1, 1, false},
    {"smallest with a bias", dense_bf16, 1, 1, 1, true},
    {"smallest mxfp4", mxfp4, 1, 32, 1, false},
    {"smallest affine", {Coding::affine, 4, 32}, 1, 32, 1, true},
    {"one output less than a panel", affine8, 15, 64, 2, true},
    {"a panel and one output", affine8, 17, 64, 2, true},
    {"inputs no multiple of 16", dense_f32, 20, 33, 5, false},
    {"inputs no multiple of 32, bf16", dense_bf16, 33, 100, 5, true},
    {"inputs of one odd group", mxfp4, 48, 96, 7, true},
    {"tokens past the widest tile", mxfp4, 32, 64, 29, false},
    {"tokens past the widest tile, affine", affine8, 32, 64, 29, true},
    {"many tokens, dense", dense_bf16, 32, 64, 64, true},
    {"gpt-oss q, k, v in one", affine8, 5120, 2880, 3, true},
    {"gpt-oss attention output", affine8, 2880, 4096, 4, true},
    {"gpt-oss router", affine8, 32, 2880, 64, true},
    {"gpt-oss router as published", dense_bf16, 32, 2880, 8, true},
    {"gpt-oss expert", mxfp4, 2880, 2880, 2, true},
    {"rows of gpt-oss's vocabulary, 8 bits", affine8, 5029, 2880, 1, false},
    {"and in bf16", dense_bf16, 5029, 2880, 1, false},
    {"4 bits, long rows", affine4, 64, 16384, 2, false},
};

TEST(MatMul, EveryShape) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    expect_reference(c.coded, c.outputs, c.inputs, c.tokens, c.bias);
  }
}

TEST(MatMul, EveryNumberOfTokens) {
  for (const Coded& coded : {mxfp4, affine8, affine4, dense_bf16, dense_f32})
    for (const int64_t tokens : {1, 2, 3, 4, 7, 8, 9, 16, 29, 64}) {
      SCOPED_TRACE(tokens);
      expect_reference(coded, 50, 192, tokens, true);
    }
}

TEST(MatMul, NoTokens) {
  for (const auto& [name, fast, backend] : backends()) {
    Memory memory;
    Random random(1);
    const Placed<Linear> placed(*backend, random_linear(memory, random, affine8, 17, 64, true));
    run(*backend, MatMul{.x = memory.make(DType::f32, {0, 64}),
                         .linear = placed.linear,
                         .out = memory.make(DType::f32, {0, 17})});
  }
}

TEST(MatMul, InputsTooSmallForAScaleAndNaNs) {
  for (const auto& [name, fast, backend] : backends())
    for (const Coded& coded : {mxfp4, affine8}) {
      SCOPED_TRACE(name + ", " + coded.name());
      Memory memory;
      Random random(1);
      const Placed<Linear> placed(*backend, random_linear(memory, random, coded, 16, 64, false));
      const Tensor x = memory.make(DType::f32, {2, 64}), out = result(memory, {2, 16});
      for (int i = 0; i < 64; ++i) {
        x.data<float>()[i] = i % 2 == 0 ? 3e-41f : -1e-38f;
        x.data<float>()[64 + i] = i % 3 == 0 ? std::numeric_limits<float>::quiet_NaN() : 1.f;
      }
      run(*backend, MatMul{.x = x, .linear = placed.linear, .out = out});
      for (int r = 0; r < 16; ++r) EXPECT_LE(std::abs(out.data<float>()[r]), 1e-30f);
    }
}

TEST(MatMul, PartsOfOneLinearAreStacked) {
  for (const Coded& coded : {mxfp4, affine8, affine4, dense_bf16}) {
    Memory memory;
    Random random(2);
    std::vector<Linear> parts;
    for (const int64_t outputs : {64, 16, 32})
      parts.push_back(random_linear(memory, random, coded, outputs, 128, true));
    expect_reference(parts, 5, random);
  }
}

// A row of the identity picks one column of the weights: what a kernel multiplies with can be seen bit by bit.
TEST(MatMul, PlacedWeightsAreThoseOfTheFile) {
  for (const Coded& coded : all_codings()) {
    Memory memory;
    Random random(3);
    constexpr int64_t outputs = 19, inputs = 128;
    const Linear linear = random_linear(memory, random, coded, outputs, inputs, false);
    for (const auto& [name, fast, backend] : backends()) {
      SCOPED_TRACE(name + ", " + coded.name());
      const float one = int8_inputs(fast, coded) ? 127 : 1;  // an int8 input whose scale is 1
      const Tensor x = memory.make(DType::f32, {inputs, inputs});
      for (int64_t i = 0; i < inputs; ++i) x.data<float>()[i * inputs + i] = one;
      const Placed<Linear> placed(*backend, linear);
      const Tensor out = result(memory, {inputs, outputs});
      run(*backend, MatMul{.x = x, .linear = placed.linear, .out = out});
      std::vector<float> row(inputs);
      int different = 0;
      for (int64_t o = 0; o < outputs; ++o) {
        dequantize_row(linear.weight, 0, o, row);
        for (int64_t i = 0; i < inputs; ++i) {
          const float ours = out.data<float>()[i * outputs + o], wanted = one * row[size_t(i)];
          if (coded.coding != Coding::affine) {
            different += ours != wanted;
            continue;
          }
          // scale * q and the quant_bias are rounded once each there, once in all here.
          const float bias = quant_bias_at(linear.weight, row_of(linear.weight, 0, o), i / coded.group_size);
          different += std::abs(ours - wanted) > one * 2 * std::abs(bias) * 0x1p-22f;
        }
      }
      EXPECT_EQ(different, 0);
    }
  }
}

}  // namespace
}  // namespace chorus::test
