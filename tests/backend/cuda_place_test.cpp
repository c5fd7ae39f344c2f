// Weights placed on a device hold what lay_out.cpp makes of them, whoever laid them out. Without a device they are
// skipped.
#include <gtest/gtest.h>

#include <cstring>

#include "backend/cuda/cuda.h"
#include "backend/cuda/lay_out.h"
#include "ops/random_ops.h"

namespace chorus::test {
namespace {

class CudaPlace : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0)
      GTEST_SKIP() << "SKIPPED: no CUDA device here, or no CUDA backend in this build";
    backend_ = cuda::make_backend("cuda", 2);
  }

  void expect_laid_out(const Matrix& placed, std::span<const Matrix> parts) {
    cuda::PanelFormat f = cuda::format_for(parts);
    f.rows = placed.rows;
    std::vector<std::byte> expected(size_t(placed.matrices * f.panels() * f.panel_bytes())),
        actual(placed.data.bytes());
    for (int64_t matrix = 0; matrix < placed.matrices; ++matrix)
      for (int64_t p = 0; p < f.panels(); ++p)
        cuda::lay_out_panel({parts}, matrix, p, f, expected.data() + (matrix * f.panels() + p) * f.panel_bytes());
    backend_->download(actual.data(), placed.data, actual.size());
    ASSERT_EQ(actual.size(), expected.size());
    EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size()), 0);
  }

  Memory memory_;
  Random random_{5};
  std::unique_ptr<Backend> backend_;
};

TEST_F(CudaPlace, EveryCoding) {
  for (const Coded& coded : all_codings()) {
    SCOPED_TRACE(coded.name());
    const Linear linear = random_linear(memory_, random_, coded, 37, 384, false);
    const Linear placed = backend_->place(std::span(&linear, 1));
    expect_laid_out(placed.weight, {&linear.weight, 1});
  }
}

TEST_F(CudaPlace, StackedPartsAndExperts) {
  for (const Coded& coded : {affine8, mxfp4, affine4}) {
    SCOPED_TRACE(coded.name());
    const std::vector<Linear> parts = {random_linear(memory_, random_, coded, 48, 2880, false),
                                       random_linear(memory_, random_, coded, 16, 2880, false)};
    const std::vector<Matrix> weights = {parts[0].weight, parts[1].weight};
    expect_laid_out(backend_->place(parts).weight, weights);
    const int64_t columns = coded.coding == Coding::mxfp4 ? 96 : 192;  // mxfp4: half a chunk at the end
    const ExpertLinear experts = random_experts(memory_, random_, coded, 5, 50, columns, false);
    expect_laid_out(backend_->place(experts).weight, {&experts.weight, 1});
  }
}

TEST_F(CudaPlace, StackedPartsOfDifferentCodings) {
  const std::vector<Linear> parts = {random_linear(memory_, random_, affine4, 48, 384, false),
                                     random_linear(memory_, random_, affine8, 16, 384, false),
                                     random_linear(memory_, random_, dense_bf16, 16, 384, false)};
  const std::vector<Matrix> weights = {parts[0].weight, parts[1].weight, parts[2].weight};
  const Matrix placed = backend_->place(parts).weight;
  EXPECT_EQ(placed.data.dtype(), DType::bf16);
  expect_laid_out(placed, weights);
}

TEST_F(CudaPlace, GateAndUpAreHeldAlike) {
  const ExpertLinear gate = random_experts(memory_, random_, mxfp4, 3, 50, 192, false);
  const ExpertLinear up = random_experts(memory_, random_, mxfp4, 3, 50, 192, false);
  EXPECT_EQ(backend_->place_gate_up(gate, up).first.weight.data.dtype(), DType::u8);
  static_cast<uint8_t*>(up.weight.scales.raw())[0] = 129;
  const auto [placed_gate, placed_up] = backend_->place_gate_up(gate, up);
  EXPECT_EQ(placed_gate.weight.data.dtype(), DType::bf16);
  EXPECT_EQ(placed_up.weight.data.dtype(), DType::bf16);
}

TEST_F(CudaPlace, MoreThanStagingHolds) {
  const ExpertLinear experts = random_experts(memory_, random_, mxfp4, 2, 8000, 2880, false);
  expect_laid_out(backend_->place(experts).weight, {&experts.weight, 1});
}

}  // namespace
}  // namespace chorus::test
