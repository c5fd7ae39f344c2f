#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "goldens.h"
#include "tokenizer/tokenizer.h"

namespace chorus::tokenizer {

using test::json_lines_of;

/// Cases computed by Hugging Face tokenizers, sentencepiece and mlx-lm; empty where they are not beside the checkout.
inline std::filesystem::path goldens() {
  return test::golden("tokenizers");
}
inline std::string no_goldens() {
  return test::no_golden("tokenizers");
}

/// Folders of the goldens that hold `file`, sorted.
inline std::vector<std::filesystem::path> golden_folders(const std::string& file) {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(goldens()))
    if (std::filesystem::exists(entry.path() / file)) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

/// The tokenizer of a golden folder, loaded once.
inline std::shared_ptr<const Tokenizer> golden_tokenizer(const std::filesystem::path& folder) {
  static std::map<std::filesystem::path, std::shared_ptr<const Tokenizer>> loaded;
  std::shared_ptr<const Tokenizer>& tokenizer = loaded[folder];
  if (!tokenizer) tokenizer = Tokenizer::load(folder);
  return tokenizer;
}

}  // namespace chorus::tokenizer
