#include "backend/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/memory_nodes.h"
#include "chorus/error.h"

namespace chorus::cpu {

/// Zeroed pages straight from the system as they are touched, huge ones where it has them: a 12 GB model in 4 KB
/// pages is three million entries of the TLB. Units of work go to whichever thread is free, so on several memory nodes
/// what is large lies on all of them in turn.
struct CpuBackend::Memory {
  void* data;
  size_t bytes;

  explicit Memory(size_t size) : bytes(size) {
    data = ::mmap(nullptr, std::max<size_t>(bytes, 1), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
      throw Error(Fault::memory, "the system has no memory left").with("needed bytes", bytes);
    if (bytes < size_t(2) << 20) return;
    ::madvise(data, bytes, MADV_HUGEPAGE);
    static const std::vector<int> nodes = memory_nodes();
    spread_over_nodes(data, bytes, nodes);
  }
  Memory(Memory&& other) noexcept : data(std::exchange(other.data, nullptr)), bytes(other.bytes) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data, other.data);
    std::swap(bytes, other.bytes);
    return *this;
  }
  ~Memory() {
    if (data != nullptr) ::munmap(data, std::max<size_t>(bytes, 1));
  }
};

CpuBackend::CpuBackend(Precision precision, int threads)
    : kernels_(choose_kernels()), precision_(precision), threads_(threads) {
  name_ = "cpu " + std::string(kernels_.name) + (fast() ? " fast, " : " exact, ") +
          std::to_string(threads_.size()) + (threads_.size() == 1 ? " thread" : " threads");
}

CpuBackend::~CpuBackend() = default;

Tensor CpuBackend::allocate(DType dtype, Shape shape) {
  memory_.emplace_back(size_t(shape.elements()) * size_of(dtype));
  return {dtype, shape, memory_.back().data};
}

void CpuBackend::release(const Tensor& allocated) {
  const auto it =
      std::find_if(memory_.begin(), memory_.end(), [&](const Memory& m) { return m.data == allocated.raw(); });
  if (it != memory_.end()) memory_.erase(it);
}

double CpuBackend::measure_mac_rate() {
  constexpr int64_t rounds = 2'000'000, passes = 5;
  double best = 0;
  for (int64_t pass = 0; pass < passes; ++pass) {
    std::atomic<int64_t> macs{0};
    const auto begin = std::chrono::steady_clock::now();
    threads_.for_each(threads_.size(),
                      [&](int64_t) { macs += (fast() ? kernels_.spin_int8 : kernels_.spin_f32)(rounds); });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, double(macs) / seconds.count());
  }
  return best;
}

void CpuBackend::upload(const Tensor& to, const void* from, size_t bytes) {
  std::memcpy(to.raw(), from, bytes);
}
void CpuBackend::download(void* to, const Tensor& from, size_t bytes) {
  std::memcpy(to, from.raw(), bytes);
}

}  // namespace chorus::cpu
