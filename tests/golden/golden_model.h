#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "weights/safetensors.h"

namespace chorus::golden {

/// One random model and what the real MLX and mlx-lm made of it (goldens' README-mlx.md). tests/golden/data has the
/// one that ships; the others lie beside the checkout where they exist.
class GoldenModel {
 public:
  explicit GoldenModel(std::string name) : name_(std::move(name)) {
    const char* const carried = std::getenv("CHORUS_GOLDENS");  // by tools/gpu_check, to where there is no checkout
    for (const char* root : {CHORUS_SOURCE_DIR "/tests/golden/data", CHORUS_SOURCE_DIR "/../shared/goldens", carried})
      if (root != nullptr && std::filesystem::exists(std::filesystem::path(root) / "models" / name_)) {
        root_ = root;
        return;
      }
  }

  bool exists() const { return !root_.empty(); }
  std::string folder() const { return root_ / "models" / name_; }
  Json json(const std::string& suffix = ".json") const { return read_json(root_ / "expected" / (name_ + suffix)); }
  SafetensorsFile tensors(const std::string& suffix = ".safetensors") const {
    return SafetensorsFile(root_ / "expected" / (name_ + suffix));
  }

 private:
  std::string name_;
  std::filesystem::path root_;
};

template <typename T>
std::vector<T> values(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor* tensor = file.find(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << "no golden tensor " << name;
    return {};
  }
  const auto bytes = file.bytes(*tensor);
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace chorus::golden
