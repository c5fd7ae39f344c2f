#include "backend/cuda/cuda_backend.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "backend/cuda/cuda.h"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

constexpr size_t half_bytes = size_t(16) << 20;
constexpr uint64_t driver_margin = uint64_t(768) << 20;  // kernels' code, local memory, fragmentation

int index_of(std::string_view device) {
  const Error unknown = Error(Fault::usage, "unknown device")
                            .with("device", device)
                            .with("known", "auto, cpu, cuda, cuda:INDEX; for a batch, cuda:all or several, with commas");
  if (device == "cuda") return 0;
  if (!device.starts_with("cuda:")) throw unknown;
  int index = -1;
  const auto [end, bad] = std::from_chars(device.data() + 5, device.data() + device.size(), index);
  if (bad != std::errc() || end != device.data() + device.size() || index < 0) throw unknown;
  return index;
}

/// The index of a device that is there.
int find_device(std::string_view device) {
  const int index = index_of(device);
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result != cudaSuccess)
    throw Error(Fault::usage, "no CUDA device can be used here")
        .with("device", device)
        .with("reason", cudaGetErrorString(result));
  if (index >= count)
    throw Error(Fault::usage, "no such CUDA device").with("device", device).with("devices here", count);
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, index), "cudaGetDeviceProperties");
  if (p.major != 9)
    throw Error(Fault::usage, "this build has kernels for compute capability 9.0 alone")
        .with("device", p.name)
        .with("its compute capability", std::to_string(p.major) + "." + std::to_string(p.minor));
  return index;
}

}  // namespace

void check(cudaError_t result, std::string_view what) {
  if (result == cudaSuccess) return;
  const Fault fault = result == cudaErrorMemoryAllocation ? Fault::memory : Fault::internal;
  throw Error(fault, fault == Fault::memory ? "the CUDA device has no memory left" : "a CUDA call failed")
      .with("call or kernel", what)
      .with("reason", cudaGetErrorString(result));
}

bool built() {
  return true;
}

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::unique_ptr<Backend> make_backend(std::string_view device, int threads) {
  return std::make_unique<CudaBackend>(find_device(device), threads);
}

uint64_t free_memory(std::string_view device) {
  check(cudaSetDevice(find_device(device)), "cudaSetDevice");
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free > driver_margin ? free - driver_margin : 0;
}

CudaBackend::CudaBackend(int device, int threads) : device_(device), threads_(threads) {
  use_device();
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, device_), "cudaGetDeviceProperties");
  name_ = "cuda:" + std::to_string(device_) + " " + p.name;
  processors_ = p.multiProcessorCount;
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  check(cudaMallocHost(reinterpret_cast<void**>(&staging_.memory), 2 * half_bytes), "cudaMallocHost");
  for (cudaEvent_t& sent : staging_.sent)
    check(cudaEventCreateWithFlags(&sent, cudaEventDisableTiming), "cudaEventCreate");
  for (cudaEvent_t& clock : clock_) check(cudaEventCreate(&clock), "cudaEventCreate");
  attention_arrivals_ = allocate(DType::i32, {most_attention_arrivals});
  check(cudaMemset(attention_arrivals_.raw(), 0, attention_arrivals_.bytes()), "cudaMemset");
}

CudaBackend::~CudaBackend() {  // results ignored: nothing is left to do about them
  cudaSetDevice(device_);
  cudaStreamSynchronize(stream_);
  graphs_.clear();
  for (void* memory : host_memory_) cudaFreeHost(memory);
  for (const auto& [data, bytes] : memory_) cudaFree(data);
  for (cudaEvent_t event : {staging_.sent[0], staging_.sent[1], clock_[0], clock_[1]}) cudaEventDestroy(event);
  cudaFreeHost(staging_.memory);
  cudaStreamDestroy(stream_);
}

Tensor CudaBackend::allocate(DType dtype, Shape shape) {
  use_device();
  const size_t bytes = std::max<size_t>(size_t(shape.elements()) * size_of(dtype), 16);
  void* data = nullptr;
  const cudaError_t result = cudaMalloc(&data, bytes);
  if (result == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // this error does not stick, but would be reported again
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error(Fault::memory, "the CUDA device has no memory left")
        .with("device", name_)
        .with("needed bytes", bytes)
        .with("free bytes", free)
        .with("bytes in all", total);
  }
  check(result, "cudaMalloc");
  memory_.emplace(data, bytes);
  return {dtype, shape, data};
}

Tensor CudaBackend::allocate_on_host(DType dtype, Shape shape) {
  use_device();
  const size_t bytes = std::max<size_t>(size_t(shape.elements()) * size_of(dtype), 16);
  void* data = nullptr;
  check(cudaMallocHost(&data, bytes), "cudaMallocHost");
  host_memory_.push_back(data);
  return {dtype, shape, data};
}

void CudaBackend::release(const Tensor& allocated) {
  if (std::erase(host_memory_, allocated.raw()) > 0) {
    cudaSetDevice(device_);
    cudaFreeHost(allocated.raw());
    return;
  }
  const auto it = memory_.find(allocated.raw());
  if (it == memory_.end()) return;
  cudaSetDevice(device_);  // called by destructors: no throwing; a broken device tells at the next call
  cudaFree(it->first);
  memory_.erase(it);
}

void CudaBackend::wait(std::string_view what) {
  const cudaError_t result = cudaStreamSynchronize(stream_);
  if (result == cudaSuccess) return;
  throw Error(Fault::internal, "a CUDA kernel failed")
      .with("noticed by", what)
      .with("last kernel launched", last_kernel_)
      .with("reason", cudaGetErrorString(result));
}

std::byte* CudaBackend::next_half() {
  check(cudaEventSynchronize(staging_.sent[staging_.next]), last_kernel_);
  return staging_.memory + size_t(staging_.next) * half_bytes;
}

void CudaBackend::send_half(std::byte* to, size_t bytes) {
  check(cudaMemcpyAsync(to, staging_.memory + size_t(staging_.next) * half_bytes, bytes, cudaMemcpyHostToDevice,
                        stream_),
        "upload");
  check(cudaEventRecord(staging_.sent[staging_.next], stream_), "cudaEventRecord");
  staging_.next ^= 1;
}

void CudaBackend::upload(const Tensor& to, const void* from, size_t bytes) {
  use_device();
  for (size_t done = 0; done < bytes;) {
    const size_t n = std::min(bytes - done, half_bytes);
    std::memcpy(next_half(), static_cast<const std::byte*>(from) + done, n);
    send_half(static_cast<std::byte*>(to.raw()) + done, n);
    done += n;
  }
}

void CudaBackend::download(void* to, const Tensor& from, size_t bytes) {
  use_device();
  // Default: logits may already lie on the host.
  if (bytes > 0) check(cudaMemcpyAsync(to, from.raw(), bytes, cudaMemcpyDefault, stream_), "download");
  wait("download");
}

KvLayer CudaBackend::make_kv_layer(int64_t blocks, int64_t kv_heads, int64_t head_dim, int64_t block_tokens) {
  if (block_tokens != 16)
    throw Error(Fault::internal, "kv blocks on a GPU hold 16 tokens").with("actual", block_tokens);
  if (head_dim % 16 != 0 || head_dim > 512)
    throw Error(Fault::model, "head_dim is not supported")
        .with("expected", "a multiple of 16, at most 512")
        .with("actual", head_dim);
  if (!raw_halves_.empty()) {  // weights are placed before there are caches
    wait("make_kv_layer");
    release(raw_halves_);
    raw_halves_ = {};
  }
  const Shape shape{blocks, kv_heads, block_tokens * head_dim};
  return {.keys = allocate(DType::bf16, shape),
          .values = allocate(DType::bf16, shape),
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .block_tokens = block_tokens};
}

}  // namespace chorus::cuda
