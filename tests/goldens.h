#pragma once

// Where results of the real implementations lie. tests/golden/data holds those that ship; all of them, with
// tokenizers and templates that are other people's, may lie beside the checkout.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"

namespace chorus::test {

/// The folders that exist, those that ship first. $CHORUS_GOLDENS: what tools/gpu_check carried to where no
/// checkout is.
inline std::vector<std::filesystem::path> golden_roots() {
  std::vector<std::filesystem::path> roots;
  const char* const shipped = CHORUS_SOURCE_DIR "/tests/golden/data";
  const char* const beside = CHORUS_SOURCE_DIR "/../shared/goldens";
  for (const char* root : {shipped, beside, static_cast<const char*>(std::getenv("CHORUS_GOLDENS"))})
    if (root != nullptr && std::filesystem::exists(root)) roots.emplace_back(root);
  return roots;
}

/// A file or folder of the goldens; empty where there is none of that name.
inline std::filesystem::path golden(const std::string& name) {
  for (const std::filesystem::path& root : golden_roots())
    if (std::filesystem::exists(root / name)) return root / name;
  return {};
}

/// What a test says that is skipped without them.
inline std::string no_golden(const std::string& name) {
  return "SKIPPED: no " + name + " in tests/golden/data or in ../shared/goldens";
}

inline std::vector<Json> json_lines_of(const std::filesystem::path& file) {
  std::vector<Json> rows;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) rows.push_back(parse_json(line, file.string()));
  return rows;
}

}  // namespace chorus::test
