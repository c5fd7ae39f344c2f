#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace chorus {

/// A tensor to be written.
struct PlannedTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;

  uint64_t bytes() const { return uint64_t(shape.elements()) * size_of(dtype); }
};

/// Writes a safetensors file from front to back: what it will hold is known first, then the tensors' bytes are
/// appended in that order, in pieces of any size. Until finish() has synced it the file is called NAME.partial;
/// what is not finished is removed. Throws Fault::io naming the file and the system's reason (disk full, ...).
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& file, std::span<const PlannedTensor> tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "mlx"}});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  void append(std::span<const std::byte> bytes);
  void append(const Tensor& tensor) { append({static_cast<const std::byte*>(tensor.raw()), tensor.bytes()}); }

  /// Throws Fault::internal if the bytes written are not those planned.
  void finish();

 private:
  void write(const void* bytes, size_t size);

  std::filesystem::path file_, partial_;
  int fd_ = -1;
  uint64_t planned_ = 0, written_ = 0;
};

}  // namespace chorus
