#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace chorus {
namespace {

// About 50 us of pauses: longer than the gap between two ops of a step, shorter than anybody would notice.
constexpr int spins_before_sleep = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// The processors of this thread's affinity mask; empty where the system does not say.
std::vector<int> allowed_processors() {
  std::vector<int> processors;
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return processors;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &set)) processors.push_back(i);
  return processors;
}

cpu_set_t only(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return set;
}

void keep_on(std::thread& thread, int processor) {
  const cpu_set_t set = only(processor);
  ::pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);  // refused: it runs anywhere
}

/// Moves the calling thread there now, where its affinity mask allows that, and leaves the mask as it was.
void step_over_to(int processor) {
  cpu_set_t mask;
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0 || !CPU_ISSET(processor, &mask)) return;
  const cpu_set_t there = only(processor);
  if (::sched_setaffinity(0, sizeof there, &there) == 0) ::sched_setaffinity(0, sizeof mask, &mask);
}

}  // namespace

int usable_threads() {
  const std::vector<int> processors = allowed_processors();
  int n = processors.empty() ? int(std::thread::hardware_concurrency()) : int(processors.size());
  std::ifstream file("/sys/fs/cgroup/cpu.max");  // "max 100000" or "150000 100000"
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0)
    n = std::min(n, int(std::ceil(std::atof(quota.c_str()) / period)));
  return std::max(n, 1);
}

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = usable_threads();
  const std::vector<int> processors = allowed_processors();
  const bool whole = size_t(threads) == processors.size();
  if (whole) callers_processor_ = processors[0];
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] { work(i); });
    if (whole) keep_on(workers_.back(), processors[size_t(i)]);
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  {
    const std::lock_guard lock(sleep_mutex_);
    ++generation_;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::for_each(int64_t n, FunctionRef<void(int64_t)> body) {
  run(n, [&](int64_t i, int64_t, int) { body(i); });
}

void ThreadPool::for_each_ahead(int64_t n, FunctionRef<void(int64_t, int64_t)> body) {
  run(n, [&](int64_t i, int64_t next, int) { body(i, next); });
}

void ThreadPool::for_each_on_thread(int64_t n, FunctionRef<void(int64_t, int)> body) {
  run(n, [&](int64_t i, int64_t, int thread) { body(i, thread); });
}

void ThreadPool::run(int64_t n, Body body) {
  if (n <= 0) return;
  if (workers_.empty() || n == 1) {
    for (int64_t i = 0; i < n; ++i) body(i, i + 1, 0);
    return;
  }
  const std::lock_guard turn(one_loop_at_a_time_);
  if (callers_processor_ >= 0 && ::sched_getcpu() != callers_processor_) step_over_to(callers_processor_);
  body_ = &body;
  n_ = n;
  next_.store(0, std::memory_order_relaxed);
  running_.store(int(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1);  // sequentially consistent with the sleepers' check of it
  if (sleepers_.load() > 0) {
    { const std::lock_guard lock(sleep_mutex_); }
    wake_.notify_all();
  }
  run_share(0);
  for (int spins = 0; running_.load(std::memory_order_acquire) > 0; ++spins) {
    if (spins < spins_before_sleep)
      pause();
    else
      std::this_thread::yield();
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::run_share(int thread) {
  for (int64_t i = next_.fetch_add(1, std::memory_order_relaxed), next = 0; i < n_; i = next) {
    next = next_.fetch_add(1, std::memory_order_relaxed);
    try {
      (*body_)(i, next, thread);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    for (int spins = 0; generation_.load(std::memory_order_acquire) == seen && spins < spins_before_sleep; ++spins)
      pause();
    if (generation_.load() == seen) {
      std::unique_lock lock(sleep_mutex_);
      ++sleepers_;
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      --sleepers_;
    }
    ++seen;  // every loop waits for every worker, so generations are never skipped
    if (stop_) return;
    run_share(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace chorus
