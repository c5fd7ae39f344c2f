#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace chorus::tokenizer {

/// Cases computed by Hugging Face tokenizers, sentencepiece and mlx-lm; they lie beside the checkout, not in it.
inline std::filesystem::path goldens() {
  return std::filesystem::path(CHORUS_SOURCE_DIR) / "../shared/goldens/tokenizers";
}

/// Folders of the goldens that hold `file`, sorted.
inline std::vector<std::filesystem::path> golden_folders(const std::string& file) {
  std::vector<std::filesystem::path> folders;
  if (std::filesystem::exists(goldens()))
    for (const auto& entry : std::filesystem::directory_iterator(goldens()))
      if (std::filesystem::exists(entry.path() / file)) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

inline std::vector<Json> json_lines(const std::filesystem::path& file) {
  std::vector<Json> rows;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) rows.push_back(parse_json(line, file.string()));
  return rows;
}

/// The tokenizer of a golden folder, loaded once.
inline std::shared_ptr<const Tokenizer> golden_tokenizer(const std::filesystem::path& folder) {
  static std::map<std::filesystem::path, std::shared_ptr<const Tokenizer>> loaded;
  std::shared_ptr<const Tokenizer>& tokenizer = loaded[folder];
  if (!tokenizer) tokenizer = Tokenizer::load(folder);
  return tokenizer;
}

#define SKIP_WITHOUT_GOLDENS() \
  if (!std::filesystem::exists(goldens())) GTEST_SKIP() << "SKIPPED: no golden data at " << goldens()

}  // namespace chorus::tokenizer
