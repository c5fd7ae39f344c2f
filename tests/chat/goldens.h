#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"

namespace chorus::chat {

/// What the real implementations rendered; not part of the repository.
inline std::filesystem::path goldens(const std::string& folder) {
  return std::filesystem::path(CHORUS_SOURCE_DIR) / ".." / "shared" / "goldens" / folder;
}

inline std::vector<Json> read_json_lines(const std::filesystem::path& file) {
  std::vector<Json> rows;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) rows.push_back(parse_json(line, file.string()));
  return rows;
}

}  // namespace chorus::chat
