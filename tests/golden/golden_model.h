#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "goldens.h"
#include "weights/safetensors.h"

namespace chorus::golden {

/// One random model and what the real MLX and mlx-lm made of it (tests/golden/README.md).
class GoldenModel {
 public:
  explicit GoldenModel(std::string name) : name_(std::move(name)) {}

  bool exists() const { return !folder().empty(); }
  /// What a test says that is skipped without it. Only those that do not ship may be skipped.
  std::string missing() const { return test::no_golden("models/" + name_); }
  std::string folder() const { return test::golden("models/" + name_); }
  Json json(const std::string& suffix = ".json") const { return read_json(expected(suffix)); }
  SafetensorsFile tensors(const std::string& suffix = ".safetensors") const {
    return SafetensorsFile(expected(suffix));
  }

 private:
  std::filesystem::path expected(const std::string& suffix) const {
    return test::golden("expected/" + name_ + suffix);
  }

  std::string name_;
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
