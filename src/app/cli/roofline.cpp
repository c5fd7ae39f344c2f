#include "app/cli/roofline.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "chorus/error.h"

namespace chorus::cli {
namespace {

constexpr size_t piece_bytes = 4 << 20;  // long enough for the prefetchers, short enough to share out evenly
constexpr int passes = 9;

// Reads eight places in turn: the processor reads ahead in each page by itself, and one page's reads are too few
// to fill the way to memory (two threads on Emerald Rapids, GB/s: one place 17, two 22, four 26, eight 29).
uint64_t sum_of(const uint64_t* words, size_t n) {
  constexpr size_t places = 8, line = 8;
  const size_t per_place = n / places;
  uint64_t sums[line] = {};
  for (size_t i = 0; i < per_place; i += line)
    for (size_t place = 0; place < places; ++place)
      for (size_t j = 0; j < line; ++j) sums[j] += words[place * per_place + i + j];
  uint64_t sum = 0;
  for (const uint64_t s : sums) sum += s;
  return sum;
}

}  // namespace

double measure_read_bandwidth(int threads) {
  const size_t pieces = std::max<size_t>(1, std::min<size_t>(1'000'000'000, available_memory() / 4) / piece_bytes);
  const size_t bytes = pieces * piece_bytes;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw Error(Fault::memory, "no memory to measure its bandwidth").with("bytes", bytes);
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // a hint: the measurement holds without it
  ThreadPool pool(threads);
  char* begin = static_cast<char*>(memory);
  pool.for_each(int64_t(pieces),
                [&](int64_t i) { std::memset(begin + size_t(i) * piece_bytes, int(i), piece_bytes); });
  std::atomic<uint64_t> total{0};  // used, so that the reads stay
  std::array<double, passes> rates;
  for (int pass = 0; pass < passes; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.for_each(int64_t(pieces), [&](int64_t i) {
      total += sum_of(reinterpret_cast<const uint64_t*>(begin + size_t(i) * piece_bytes), piece_bytes / 8);
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    rates[size_t(pass)] = double(bytes) / seconds.count();
  }
  ::munmap(memory, bytes);
  std::ranges::nth_element(rates, rates.begin() + passes / 2);  // the median, as of steps
  return rates[passes / 2];
}

}  // namespace chorus::cli
