#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace chorus::weights {

/// Which safetensors files make up a model folder.
struct ModelFiles {
  std::vector<std::filesystem::path> files;  ///< all exist
  /// From model.safetensors.index.json: the file that should hold a tensor; empty without an index.
  std::map<std::string, std::string> file_of_tensor;
};

/// model.safetensors.index.json decides; without it model.safetensors; else model*.safetensors, complete where
/// they are numbered "-00001-of-00003". Throws Fault::model naming what is missing.
ModelFiles find_model_files(const std::filesystem::path& folder);

}  // namespace chorus::weights
