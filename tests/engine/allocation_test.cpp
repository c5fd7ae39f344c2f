// Once its rows run, a step allocates nothing: not the scheduler, not the model's ops, not the sampler.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "chorus/engine.h"
#include "golden/golden_model.h"

namespace {
std::atomic<int64_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* memory = alignment > alignof(std::max_align_t)
                     ? std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)
                     : std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // g++ inlines the pairs below and sees malloc and free

void* operator new(std::size_t bytes) {
  return counted(bytes, 0);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, std::size_t(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace chorus {
namespace {

/// All kinds of sampling, prompts of different lengths.
Request row(int i, int64_t max_tokens) {
  Request r{.id = std::to_string(i), .prompt = TokenIds(size_t(3 + i * 7), 20 + i)};
  r.sampling = {.temperature = i % 2 * 0.8, .top_p = i % 3 == 0 ? 0.9 : 1, .top_k = i % 4 == 0 ? 20 : 0};
  r.sampling.repetition_penalty = i % 3 == 1 ? 1.2 : 1;
  r.sampling.logprobs = i % 2 == 0;
  r.stop.max_tokens = max_tokens;
  r.stop.ignore_eos = true;
  return r;
}

class Allocations : public testing::TestWithParam<const char*> {
 protected:
  Allocations() : golden_("tiny-gpt-oss-mxfp4-q8") {}
  Model load() { return load_model(golden_.folder(), {.device = "cpu", .precision = GetParam(), .threads = 2}); }
  golden::GoldenModel golden_;
};

TEST_P(Allocations, StepsOfRunningRowsAllocateNothing) {
  const Model model = load();
  Engine engine(model, {.max_rows = 8, .max_step_tokens = 64, .context = 512});
  for (int i = 0; i < 8; ++i) engine.add(row(i, 300));
  int64_t events = 0, finished = 0;
  const std::function<void(const Event&)> count = [&](const Event& event) {
    ++events;
    finished += std::holds_alternative<FinishedEvent>(event);
  };
  for (int step = 0; step < 20; ++step) engine.step(count);  // every prompt is in
  const int64_t before = allocations, events_before = events;
  for (int step = 0; step < 200; ++step) engine.step(count);
  EXPECT_EQ(allocations - before, 0);
  EXPECT_EQ(events - events_before, 200 * 9) << "a token of each row and the progress";
  EXPECT_EQ(finished, 0);
}

TEST_P(Allocations, NorDoPreemptionAndRecomputing) {
  const Model model = load();
  const bool fast = std::string_view(GetParam()) == "fast";
  const uint64_t position_bytes = 4 * 2 * 64 * 2 * (fast ? 2 : 4);
  Engine engine(model, {.max_rows = 8, .max_step_tokens = 32, .context = 512, .kv_bytes = 512 * position_bytes});
  for (int i = 0; i < 8; ++i) engine.add(row(i, 400));
  int64_t finished = 0, steps = 0, waiting = 8;
  const std::function<void(const Event&)> count = [&](const Event& event) {
    finished += std::holds_alternative<FinishedEvent>(event);
    if (const auto* progress = std::get_if<ProgressEvent>(&event)) waiting = progress->rows_waiting;
  };
  while (waiting > 0 && ++steps < 100) engine.step(count);  // all have run
  ASSERT_EQ(waiting, 0);
  ASSERT_EQ(engine.stats().preemptions, 0);
  const int64_t before = allocations;
  int64_t during = 0;
  while (finished == 0) {
    during = allocations - before;
    engine.step(count);
  }
  EXPECT_EQ(during, 0);
  EXPECT_GT(engine.stats().preemptions, 3) << "no row was preempted: the test shows less than it says";
}

/// A row that comes and goes costs a bounded number of allocations, however many tokens it has.
TEST_P(Allocations, ARowCostsAFewAndItsTokensNone) {
  const Model model = load();
  Engine engine(model, {.max_rows = 4, .max_step_tokens = 64, .context = 512});
  int64_t finished = 0;
  const std::function<void(const Event&)> count = [&](const Event& event) {
    finished += std::holds_alternative<FinishedEvent>(event);
  };
  const auto cost_of = [&](int64_t tokens) {
    for (int i = 0; i < 12; ++i) engine.add(row(i, tokens));
    const int64_t before = allocations;
    while (engine.step(count)) {
    }
    return allocations - before;
  };
  cost_of(10);  // the engine's own first time
  const int64_t few = cost_of(10), many = cost_of(100);
  EXPECT_EQ(few, many);
  EXPECT_LE(many, 12 * 4) << "of 12 rows";
  EXPECT_EQ(finished, 36);
}

INSTANTIATE_TEST_SUITE_P(Precisions, Allocations, testing::Values("fast", "exact"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace chorus
