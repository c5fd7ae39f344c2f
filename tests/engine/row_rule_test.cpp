// A row is its own: bit for bit what it gives alone, whatever its neighbours, chunks, preemptions and shared prefixes.
#include "engine/row_rule.h"

#include "golden/golden_model.h"

namespace chorus::test {
namespace {

class RowRule : public testing::TestWithParam<const char*> {};

TEST_P(RowRule, EveryRowGivesWhatItGivesAlone) {
  const golden::GoldenModel golden("tiny-gpt-oss-mxfp4-q8");
  ASSERT_TRUE(golden.exists()) << "ships with the tests";
  const Model model = load_model(golden.folder(), {.device = "cpu", .precision = GetParam()});
  expect_rows_of_their_own(model, GetParam() == std::string("fast") ? 2 : 4);
}

INSTANTIATE_TEST_SUITE_P(Precisions, RowRule, testing::Values("fast", "exact"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace chorus::test
