#include "weights/model_files.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "chorus/error.h"

namespace chorus::weights {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

Error with_files(Error error, const std::vector<std::string>& files) {
  constexpr size_t listed = 20;
  for (size_t i = 0; i < std::min(files.size(), listed); ++i) error.with("file", files[i]);
  if (files.size() > listed) error.with("and more files", files.size() - listed);
  return error;
}

// nlohmann::json, whose objects are trees: Json looks for a repeated key in all keys before it, and large models
// have tens of thousands. What lies deeper than the map's entries is dropped unread.
nlohmann::json read_index(const fs::path& file) {
  const std::string text = read_file(file);
  constexpr int map_depth = 2;
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= map_depth;
  };
  nlohmann::json index = nlohmann::json::parse(text, shallow, /*allow_exceptions=*/false);
  if (index.is_discarded()) read_json(file);  // throws, saying where
  return index;
}

ModelFiles from_index(const fs::path& folder, const fs::path& index_file) {
  const nlohmann::json index = read_index(index_file);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object())
    throw Error(Fault::model, "the index has no weight_map object").with("file", index_file.string());
  ModelFiles found;
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    // A plain name: an index does not get to open files elsewhere.
    if (!file.is_string() || file.get<std::string>().empty() ||
        file.get<std::string>().find('/') != std::string::npos)
      throw Error(Fault::model, "the index gives a tensor no plain file name")
          .with("file", index_file.string())
          .with("tensor", tensor.substr(0, 200));
    names.insert(file.get<std::string>());
    found.file_of_tensor.emplace(tensor, file.get<std::string>());
  }
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (!is_file(folder / name)) missing.push_back(name);
    found.files.push_back(folder / name);
  }
  if (!missing.empty())
    throw with_files(Error(Fault::model, "files of the model are missing (named by model.safetensors.index.json)"),
                     missing);
  if (found.files.empty()) throw Error(Fault::model, "the index names no file").with("file", index_file.string());
  return found;
}

// "model-00002-of-00003.safetensors" -> {2, 3}
struct ShardNumber {
  int number, count;
};
std::optional<ShardNumber> shard_number(std::string_view name) {
  const size_t of = name.rfind("-of-");
  if (of == std::string_view::npos) return {};
  const size_t begin = name.rfind('-', of - 1);
  if (begin == std::string_view::npos) return {};
  ShardNumber shard{};
  const char* end = name.data() + name.size();
  const auto [number_end, e1] = std::from_chars(name.data() + begin + 1, end, shard.number);
  const auto [count_end, e2] = std::from_chars(name.data() + of + 4, end, shard.count);
  if (e1 != std::errc() || e2 != std::errc() || number_end != name.data() + of || *count_end != '.') return {};
  return shard;
}

void check_complete(const std::vector<fs::path>& files) {
  std::set<int> numbers;
  int count = 0;
  for (const fs::path& file : files)
    if (const auto shard = shard_number(file.filename().string())) {
      numbers.insert(shard->number);
      count = std::max(count, shard->count);
    }
  std::vector<std::string> missing;
  constexpr int most = 10'000;  // a hostile "of-2000000000" is reported, not counted out
  for (int i = 1; i <= std::min(count, most); ++i)
    if (!numbers.contains(i)) missing.push_back(std::to_string(i) + " of " + std::to_string(count));
  if (!missing.empty()) throw with_files(Error(Fault::model, "files of the model are missing"), missing);
}

std::vector<fs::path> matching(const fs::path& folder, std::string_view prefix, std::string_view suffix) {
  std::vector<fs::path> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(suffix) && is_file(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

ModelFiles find_model_files(const fs::path& folder) {
  if (const fs::path index = folder / "model.safetensors.index.json"; is_file(index))
    return from_index(folder, index);
  if (const fs::path single = folder / "model.safetensors"; is_file(single)) return {{single}, {}};
  std::vector<fs::path> files = matching(folder, "model", ".safetensors");
  if (!files.empty()) {
    check_complete(files);
    return {files, {}};
  }
  Error error(Fault::model, "no weights in the model folder");
  error.with("expected", "model.safetensors, or model-*.safetensors");
  for (const char* other : {".gguf", ".bin", ".npz", ".pth"})
    if (const auto found = matching(folder, "", other); !found.empty())
      error.with("found, but not read by chorus", found[0].filename().string());
  throw error;
}

}  // namespace chorus::weights
