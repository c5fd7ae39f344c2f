#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace chorus {

/// A fixed set of threads for short parallel loops. Workers spin for a moment between loops (a decode step is a
/// few hundred loops of some tens of microseconds), then sleep. The calling thread takes part in every loop. One
/// loop at a time: calls from several threads take turns; a loop body must not start another loop.
///
/// A pool of as many threads as there are processors for this process keeps each worker on one of its own, and
/// leaves the first to the caller: a caller that the system has put elsewhere steps over to it at the begin of a
/// loop, since the two would take turns on the worker's for some milliseconds; its affinity mask stays. A smaller
/// pool leaves the choice to the system, since others may run beside it; so does a larger one.
class ThreadPool {
 public:
  /// `threads` >= 1 in all, the caller included; 0 = usable_threads().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return int(workers_.size()) + 1; }

  /// Calls body(i) once for every i in [0, n), in any order, handed out one by one; returns when all are done.
  /// The first exception of a body is thrown again here, after the others have ended.
  void for_each(int64_t n, FunctionRef<void(int64_t)> body);

  /// The same, and each call is told which i the thread will have next (>= n: none), to fetch what that needs.
  void for_each_ahead(int64_t n, FunctionRef<void(int64_t i, int64_t next)> body);

  /// for_each() with the number of the running thread, 0 <= thread < size(), to index scratch memory.
  void for_each_on_thread(int64_t n, FunctionRef<void(int64_t i, int thread)> body);

 private:
  using Body = FunctionRef<void(int64_t i, int64_t next, int thread)>;
  void run(int64_t n, Body body);
  void work(int thread);
  void run_share(int thread);

  std::vector<std::thread> workers_;
  int callers_processor_ = -1;  ///< where the workers have all others
  std::mutex one_loop_at_a_time_;

  // The current loop, written by the caller before `generation_` tells the workers.
  const Body* body_ = nullptr;
  int64_t n_ = 0;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> running_{0};
  std::atomic<bool> stop_{false};

  std::mutex sleep_mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};

  std::mutex error_mutex_;
  std::exception_ptr error_;
};

/// Processors this process may use: the affinity mask and the cgroup's CPU quota, rounded up.
int usable_threads();

}  // namespace chorus
