#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace chorus {
namespace {

TEST(ThreadPool, RunsEveryIndexOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int64_t n : {0, 1, 2, 3, 1000}) {
      std::vector<std::atomic<int>> count(static_cast<size_t>(n));
      pool.for_each(n, [&](int64_t i) { ++count[size_t(i)]; });
      for (const auto& c : count) EXPECT_EQ(c, 1);
    }
  }
}

TEST(ThreadPool, ManyShortLoopsAndSleepsBetween) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  for (int loop = 0; loop < 2000; ++loop) {
    pool.for_each(4, [&](int64_t i) { sum += i; });
    if (loop % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(sum, 2000 * 6);
}

TEST(ThreadPool, CallersOfSeveralThreadsTakeTurns) {
  ThreadPool pool(2);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t)
    callers.emplace_back([&] {
      for (int loop = 0; loop < 200; ++loop) pool.for_each(8, [&](int64_t i) { sum += i; });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 3 * 200 * 28);
}

TEST(ThreadPool, ThrowsTheFirstExceptionAfterTheLoop) {
  ThreadPool pool(2);
  std::atomic<int> ran{0};
  EXPECT_THROW(pool.for_each(100, [&](int64_t i) {
    ++ran;
    if (i == 3) throw std::runtime_error("three");
  }), std::runtime_error);
  EXPECT_EQ(ran, 100);
  pool.for_each(10, [&](int64_t) { ++ran; });
  EXPECT_EQ(ran, 110);
}

}  // namespace
}  // namespace chorus
