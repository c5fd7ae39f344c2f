#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "chorus/error.h"
#include "ops/backend.h"

namespace chorus::engine {

/// Memory of a backend that is given back at the end.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Backend& backend, DType dtype, Shape shape)
      : DeviceMemory(backend, backend.allocate(dtype, shape)) {}
  DeviceMemory(Backend& backend, Tensor allocated) : backend_(&backend), tensor_(allocated) {}
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(tensor_, other.tensor_);
    return *this;
  }
  ~DeviceMemory() {
    if (backend_ != nullptr) backend_->release(tensor_);
  }
  const Tensor& tensor() const { return tensor_; }

 private:
  Backend* backend_ = nullptr;
  Tensor tensor_;
};

/// What the host tells a backend about a step: put together here, sent in one copy.
class StepBuffer {
 public:
  StepBuffer() = default;
  StepBuffer(Backend& backend, size_t bytes) : memory_(backend, DType::u8, {int64_t(bytes)}), bytes_(bytes) {}

  static constexpr size_t alignment = 16;
  static size_t bytes_of(size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

  void clear() { used_ = 0; }
  /// Room for a tensor; `host` is where its values go before send().
  template <typename T>
  Tensor put(DType dtype, Shape shape, T*& host) {
    const size_t begin = used_;
    used_ += bytes_of(size_t(shape.elements()) * size_of(dtype));
    if (used_ > bytes_.size())
      throw Error(Fault::internal, "a step is larger than planned")
          .with("planned bytes", bytes_.size())
          .with("needed bytes", used_);
    host = reinterpret_cast<T*>(bytes_.data() + begin);
    return {dtype, shape, static_cast<std::byte*>(memory_.tensor().raw()) + begin};
  }
  template <typename T>
  Tensor put(DType dtype, Shape shape, std::span<const T> values) {
    T* host = nullptr;
    const Tensor placed = put(dtype, shape, host);
    if (!values.empty()) std::memcpy(host, values.data(), values.size_bytes());
    return placed;
  }
  void send(Backend& backend) const { backend.upload(memory_.tensor(), bytes_.data(), used_); }

 private:
  DeviceMemory memory_;
  std::vector<std::byte> bytes_;
  size_t used_ = 0;
};

}  // namespace chorus::engine
