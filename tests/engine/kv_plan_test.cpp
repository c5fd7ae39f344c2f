#include "engine/kv_plan.h"

#include <gtest/gtest.h>

#include "chorus/error.h"

namespace chorus::engine {
namespace {

// gpt-oss-20b: 24,576 bytes a token of context in full layers, as much in sliding ones up to the window.
const KvShape gpt_oss_20b{
    .pools = {{.window = 128, .layers = 12}, {.window = 0, .layers = 12}}, .pool_of_layer = {}, .kv_heads = 8, .head_dim = 64};

struct Case {
  const char* why;
  uint64_t budget;
  int64_t max_rows, context;
  int64_t sliding_blocks, full_blocks;
};
const Case cases[] = {
    {"all rows fit whole: nothing more is taken", 100'000'000'000, 4, 1024, 4 * 10 + 32, 4 * 64},
    {"8 GB for 128 rows: full layers share what sliding ones leave", 8'000'000'000, 128, 131072, 128 * 10 + 32,
     (8'000'000'000 - (128 * 10 + 32) * 393216ll) / 393216},
    {"a third at most for sliding layers", 100 * 393216, 128, 131072, 33, 67},
};

TEST(KvPlan, DividesTheBudget) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    const KvPlan plan = plan_kv(gpt_oss_20b, 2, c.budget, c.max_rows, 512, c.context);
    EXPECT_EQ(plan.blocks, (std::vector<int64_t>{c.sliding_blocks, c.full_blocks}));
    EXPECT_LE(plan.bytes, c.budget);
  }
}

TEST(KvPlan, RefusesABudgetWithoutRoomForOneRow) {
  try {
    plan_kv(gpt_oss_20b, 2, 1'000'000, 1, 512, 4096);
    FAIL() << "planned something";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::memory);
    EXPECT_NE(e.one_line().find("1000000"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace chorus::engine
