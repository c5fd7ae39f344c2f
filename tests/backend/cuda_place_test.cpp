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
    cuda::PanelFormat f = cuda::format_for(parts[0]);
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

TEST_F(CudaPlace, MoreThanStagingHolds) {
  const ExpertLinear experts = random_experts(memory_, random_, mxfp4, 2, 8000, 2880, false);
  expect_laid_out(backend_->place(experts).weight, {&experts.weight, 1});
}

}  // namespace
}  // namespace chorus::test
