#pragma once

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace chorus {

inline std::filesystem::path goldens_folder() {
  return std::filesystem::path(CHORUS_SOURCE_DIR) / "../shared/goldens";
}

/// The rows of a golden file; empty where it is not there, and then the test is to be skipped.
inline std::vector<Json> golden_rows(const std::string& file) {
  std::vector<Json> rows;
  const std::filesystem::path path = goldens_folder() / file;
  if (!std::filesystem::exists(path)) return rows;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) rows.push_back(parse_json(line, file));
  return rows;
}

}  // namespace chorus
