#include "backend/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "chorus/error.h"

namespace chorus::cpu {

/// Zeroed pages straight from the system as they are touched, huge ones where it has them: a 12 GB model in 4 KB
/// pages is three million entries of the TLB.
struct CpuBackend::Memory {
  void* data;
  size_t bytes;

  explicit Memory(size_t size) : bytes(size) {
    data = ::mmap(nullptr, std::max<size_t>(bytes, 1), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
      throw Error(Fault::memory, "the system has no memory left").with("needed bytes", bytes);
    if (bytes >= size_t(2) << 20) ::madvise(data, bytes, MADV_HUGEPAGE);
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

void CpuBackend::upload(const Tensor& to, const void* from, size_t bytes) {
  std::memcpy(to.raw(), from, bytes);
}
void CpuBackend::download(void* to, const Tensor& from, size_t bytes) {
  std::memcpy(to, from.raw(), bytes);
}

}  // namespace chorus::cpu
