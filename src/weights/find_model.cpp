#include "weights/find_model.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"
#include "chorus/error.h"

namespace chorus {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

fs::path hugging_face_hub() {
  if (const std::string hub = environment("HF_HUB_CACHE"); !hub.empty()) return expand_home(hub);
  if (const std::string home = environment("HF_HOME"); !home.empty()) return expand_home(home) / "hub";
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty())
    return expand_home(cache) / "huggingface" / "hub";
  return expand_home("~/.cache/huggingface/hub");
}

// models--org--name/refs/main holds the name of the folder below snapshots/ that "main" means. A cache without the
// ref (a pinned revision) is clear too, where it holds only one snapshot.
fs::path snapshot(const fs::path& repository) {
  std::error_code ignored;
  if (fs::is_regular_file(repository / "refs" / "main", ignored)) {
    std::string revision = read_file(repository / "refs" / "main");
    revision.erase(std::find_if(revision.begin(), revision.end(), [](unsigned char c) { return c <= ' '; }),
                   revision.end());
    if (!revision.empty() && revision.find('/') == std::string::npos) return repository / "snapshots" / revision;
  }
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(repository / "snapshots", ignored))
    if (entry.is_directory(ignored)) found.push_back(entry.path());
  return found.size() == 1 ? found[0] : repository / "snapshots" / "main";
}

// "org/name": two plain words, so that nothing climbs out of the folders searched.
bool is_repository_name(std::string_view name) {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == name.size()) return false;
  const std::string_view org = name.substr(0, slash), model = name.substr(slash + 1);
  return model.find('/') == std::string_view::npos && org[0] != '.' && org[0] != '~' && model[0] != '.';
}

}  // namespace

fs::path find_model(std::string_view name) {
  if (name.empty()) throw Error(Fault::usage, "no model given");
  std::vector<fs::path> places = {expand_home(name)};
  if (is_repository_name(name)) {
    places.push_back(expand_home("~/.cache/lm-studio/models") / name);
    places.push_back(expand_home("~/.lmstudio/models") / name);
    std::string folder = "models--" + std::string(name);
    folder.replace(folder.find('/'), 1, "--");
    places.push_back(snapshot(hugging_face_hub() / folder));
  }
  for (const fs::path& place : places)
    if (is_folder(place)) return place;

  std::error_code ignored;
  if (fs::exists(places[0], ignored))
    throw Error(Fault::usage, "the model must be a folder, not a file").with("path", places[0].string());
  Error error(Fault::usage, "model not found (chorus downloads nothing)");
  error.with("model", name);
  for (const fs::path& place : places) error.with("looked in", place.string());
  throw error;
}

}  // namespace chorus
