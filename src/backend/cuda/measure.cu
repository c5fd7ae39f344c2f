// The device's clock and its memory's speed.
#include <algorithm>

#include "backend/cuda/device.cuh"

namespace chorus::cuda {
namespace {

constexpr int64_t hold_ns = 30'000;  // longer than it takes to launch the kernels of one op

__global__ void hold_kernel(int64_t nanoseconds) {
  uint64_t begin = 0, now = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
  do {
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  } while (int64_t(now - begin) < nanoseconds);
}

/// Reads n vectors, eight under way per thread.
__global__ void read_kernel(const uint4* from, int64_t n, uint32_t* out) {
  constexpr int ahead = 8;
  const int64_t threads = int64_t(gridDim.x) * blockDim.x, first = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  uint32_t bits = 0;
  for (int64_t i = first; i < n; i += threads * ahead) {
    uint4 v[ahead];
#pragma unroll
    for (int j = 0; j < ahead; ++j) v[j] = i + j * threads < n ? from[i + j * threads] : uint4{};
#pragma unroll
    for (int j = 0; j < ahead; ++j) bits |= v[j].x | v[j].y | v[j].z | v[j].w;
  }
  if (bits == 0x12345678) *out = bits;  // never: the reads stay
}

}  // namespace

double CudaBackend::seconds_of(FunctionRef<void()> work) {
  if (clock_cost_ < 0) {  // what the clock shows where nothing happens
    double least = 1;
    for (int i = 0; i < 20; ++i) least = std::min(least, elapsed([] {}));
    clock_cost_ = least;
  }
  return std::max(elapsed(work) - clock_cost_, 1e-8);
}

double CudaBackend::elapsed(FunctionRef<void()> work) {
  use_device();
  // While the device holds, the host gets ahead of it: what is measured is the work alone, not its launching.
  launch("hold", hold_kernel, {.threads = 1}, hold_ns);
  check(cudaEventRecord(clock_[0], stream_), "cudaEventRecord");
  work();
  check(cudaEventRecord(clock_[1], stream_), "cudaEventRecord");
  synchronize();
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, clock_[0], clock_[1]), "cudaEventElapsedTime");
  return double(milliseconds) * 1e-3;
}

Backend::Bandwidth CudaBackend::measure_bandwidth() {
  use_device();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  const auto bytes = int64_t(std::min<size_t>(size_t(4) << 30, free / 4) / 512 * 512);  // many times the caches
  const Tensor memory = allocate(DType::u8, {bytes});
  check(cudaMemsetAsync(memory.raw(), 0, size_t(bytes), stream_), "cudaMemset");
  auto* const data = static_cast<uint4*>(memory.raw());
  Bandwidth best;
  for (int pass = 0; pass < 50; ++pass) {  // clocks rise only while there is work
    const double read_s = seconds_of([&] {
      launch("read", read_kernel, {.x = 132 * 16, .threads = 256}, data, bytes / int64_t(sizeof(uint4)),
             reinterpret_cast<uint32_t*>(data));
    });
    const double copy_s = seconds_of([&] {
      check(cudaMemcpyAsync(data, static_cast<std::byte*>(memory.raw()) + bytes / 2, size_t(bytes / 2),
                            cudaMemcpyDeviceToDevice, stream_),
            "copy");
    });
    best.read = std::max(best.read, double(bytes) / read_s);
    best.copy = std::max(best.copy, double(bytes) / copy_s);
  }
  release(memory);
  return best;
}

size_t CudaBackend::used_bytes() {
  use_device();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return total - free;
}

}  // namespace chorus::cuda
