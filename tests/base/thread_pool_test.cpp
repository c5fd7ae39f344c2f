#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <barrier>
#include <set>
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

std::vector<int> my_processors() {
  cpu_set_t set;
  EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<int> processors;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &set)) processors.push_back(i);
  return processors;
}

/// What each thread of a pool may run on; the caller's comes first.
std::vector<std::vector<int>> processors_of(int threads) {
  ThreadPool pool(threads);
  std::vector<std::vector<int>> processors(static_cast<size_t>(threads));
  std::barrier all(threads);
  // A thread takes two at a time: so each gets its two.
  pool.for_each_on_thread(2 * threads, [&](int64_t, int thread) {
    std::vector<int>& own = processors[size_t(thread)];
    if (own.empty()) all.arrive_and_wait();
    own = my_processors();
  });
  return processors;
}

TEST(ThreadPool, KeepsWorkersOnProcessorsOfTheirOwnWhereItHasThemAll) {
  const std::vector<int> mine = my_processors();
  const auto pinned = processors_of(int(mine.size()));
  EXPECT_EQ(pinned[0], mine);
  std::set<int> taken = {mine[0]};
  for (size_t i = 1; i < pinned.size(); ++i) {
    ASSERT_EQ(pinned[i].size(), 1u);
    EXPECT_TRUE(taken.insert(pinned[i][0]).second) << "two threads on processor " << pinned[i][0];
  }
  EXPECT_EQ(taken, std::set<int>(mine.begin(), mine.end()));
  for (const auto& processors : processors_of(int(mine.size()) + 1)) EXPECT_EQ(processors, mine);
  EXPECT_EQ(my_processors(), mine);
  EXPECT_LE(usable_threads(), int(mine.size()));
}

TEST(ThreadPool, ACallerOnTheProcessorOfAWorkerStepsOver) {
  const std::vector<int> mine = my_processors();
  if (mine.size() < 2) GTEST_SKIP() << "SKIPPED: this process has one processor";
  cpu_set_t mask, last;
  ASSERT_EQ(::sched_getaffinity(0, sizeof mask, &mask), 0);
  CPU_ZERO(&last);
  CPU_SET(mine.back(), &last);
  ThreadPool pool(int(mine.size()));
  for (const bool may_move : {true, false}) {
    const int expected = may_move ? mine.front() : mine.back();
    int ran_on = -1;
    for (int loop = 0; loop < 50 && ran_on != expected; ++loop) {  // the system may move it meanwhile
      ASSERT_EQ(::sched_setaffinity(0, sizeof last, &last), 0);
      if (may_move) {
        ASSERT_EQ(::sched_setaffinity(0, sizeof mask, &mask), 0);
      }
      pool.for_each_on_thread(100, [&](int64_t, int thread) {
        if (thread == 0) ran_on = ::sched_getcpu();
      });
    }
    EXPECT_EQ(ran_on, expected);
    EXPECT_EQ(my_processors(), may_move ? mine : std::vector<int>{mine.back()});
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof mask, &mask), 0);
}

TEST(ThreadPool, OneProcessorOfManyIsAllThatItUses) {
  const std::vector<int> mine = my_processors();
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(mine.back(), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(usable_threads(), 1);
    EXPECT_EQ(ThreadPool().size(), 1);
    std::atomic<int> ran{0};
    ThreadPool(3).for_each(50, [&](int64_t) { ++ran; });  // three threads that take turns on it
    EXPECT_EQ(ran, 50);
  }).join();
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
