// Any bytes are either a safetensors file, whose tensors then lie inside it, or one chorus::Error.
#include <cstdlib>

#include "chorus/error.h"
#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    uint64_t covered = 0;
    for (const chorus::StoredTensor& t : chorus::parse_safetensors_header(bytes, size, "fuzz").tensors) {
      if (t.begin > size || t.bytes > size - t.begin) std::abort();
      covered += t.bytes;
    }
    if (covered > size) std::abort();
  } catch (const chorus::Error& e) {
    if (e.fault() != chorus::Fault::model) std::abort();
  }
  return 0;
}
