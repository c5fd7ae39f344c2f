// next() and commit() allocate nothing, from the first step on.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "scheduler/scheduler.h"

namespace {
std::atomic<int64_t> allocations{0};
}

#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // g++ inlines the pair below and sees malloc and free

void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace chorus::scheduler {
namespace {

TEST(SchedulerAllocation, StepsAllocateNothing) {
  Scheduler scheduler({.block_tokens = 16,
                       .max_rows = 16,
                       .max_step_tokens = 128,
                       .context = 600,
                       .pools = {{.window = 0, .blocks = 100}, {.window = 64, .blocks = 100}}});
  std::vector<Outcome> outcomes;
  outcomes.reserve(16);
  for (int32_t i = 0; i < 60; ++i) {
    std::vector<int32_t> prompt(size_t(20 + i * 3), 5);  // prefixes of each other
    if (i % 3 == 0) prompt[0] = i;
    scheduler.add({.prompt = std::move(prompt), .max_new_tokens = 100000, .priority = i % 7 == 0});
  }
  const int64_t before = allocations;
  int64_t steps = 0;
  for (;; ++steps) {
    const Plan& plan = scheduler.next();
    if (plan.empty()) break;
    outcomes.clear();
    for (const Sample& sample : plan.samples)
      outcomes.push_back({.token_id = int32_t(steps), .finished = (sample.id + steps) % 97 == 0});
    if (steps % 50 == 49) scheduler.cancel(plan.rows.back().id);
    scheduler.commit(outcomes);
  }
  EXPECT_EQ(allocations - before, 0) << steps << " steps";
  EXPECT_GT(steps, 200);
  EXPECT_GT(scheduler.counts().preemptions, 0);
}

}  // namespace
}  // namespace chorus::scheduler
