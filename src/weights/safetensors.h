#pragma once

// The safetensors format: 8 bytes, little-endian: the header's length N; N bytes of JSON, padded with spaces:
//     {"__metadata__": {"key": "text", ...}, "NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
//     ...}
// then the tensors' bytes. Offsets count from the end of the header; the tensors cover those bytes without hole or
// overlap. Nothing aligns them: a tensor may begin at an odd address.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/tensor.h"

namespace chorus {

/// One tensor as a file's header states it. Formats and ranks that chorus does not compute with are stated too: a
/// folder may hold tensors that no model asks for.
struct StoredTensor {
  std::string name;
  std::string_view dtype_name;  ///< the format's word: "BF16"
  std::optional<DType> dtype;   ///< none: a type that chorus has no use for
  std::vector<int64_t> sizes;
  uint64_t begin = 0, bytes = 0;  ///< in the file

  std::string shape_text() const;
};

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<StoredTensor> tensors;  ///< in the order of their bytes
};

/// Reads the header out of the file's first bytes (at least the header, where file_size allows) and checks all of
/// it. Throws Fault::model naming `file` and the tensor.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> head, uint64_t file_size,
                                           std::string_view file);

/// The format's word for a type: "BF16".
std::string_view safetensors_name(DType dtype);

/// A safetensors file mapped into memory.
class SafetensorsFile {
 public:
  /// Throws Fault::io or Fault::model.
  explicit SafetensorsFile(const std::filesystem::path& file);

  const std::filesystem::path& path() const { return mapped_.path(); }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  const std::vector<StoredTensor>& tensors() const { return header_.tensors; }
  const StoredTensor* find(std::string_view name) const;
  std::span<const std::byte> bytes(const StoredTensor& tensor) const {
    return mapped_.bytes().subspan(tensor.begin, tensor.bytes);
  }
  const MappedFile& mapped() const { return mapped_; }

 private:
  MappedFile mapped_;
  SafetensorsHeader header_;
};

}  // namespace chorus
