#include "weights/weights.h"

#include <algorithm>

#include "base/json.h"
#include "chorus/error.h"
#include "weights/model_files.h"

namespace chorus {
namespace {

constexpr size_t problems_listed = 20;

Json read_object(const std::filesystem::path& file) {
  Json value = read_json(file);
  if (!value.is_object()) throw Error(Fault::model, "the file is not a JSON object").with("file", file.string());
  return value;
}

}  // namespace

Weights Weights::open(const std::filesystem::path& folder) {
  Weights opened;
  opened.folder_ = folder;
  std::error_code unreadable;
  try {
    if (!std::filesystem::is_directory(folder, unreadable))
      throw Error(Fault::model, "the model folder does not exist");
    opened.config_ = read_object(folder / "config.json");
    if (std::filesystem::exists(folder / "generation_config.json", unreadable))
      opened.generation_config_ = read_object(folder / "generation_config.json");
    opened.quantization_ = QuantizationConfig(opened.config_);
    const weights::ModelFiles found = weights::find_model_files(folder);
    for (const std::filesystem::path& file : found.files) opened.add_file(file);
    opened.check_index(found.file_of_tensor);
  } catch (Error& e) {
    e.with("model folder", folder.string());
    throw;
  }
  return opened;
}

void Weights::add_file(const std::filesystem::path& file) {
  files_.push_back(std::make_unique<SafetensorsFile>(file));
  for (const StoredTensor& stored : files_.back()->tensors()) {
    const auto [at, added] = tensors_.emplace(stored.name, Found{files_.back().get(), &stored});
    if (!added)
      throw Error(Fault::model, "two files of the model hold the same tensor")
          .with("tensor", stored.name)
          .with("file", at->second.file->path().filename().string())
          .with("and", file.filename().string());
  }
}

void Weights::check_index(const std::map<std::string, std::string>& file_of_tensor) const {
  std::vector<std::string> wrong;
  for (const auto& [name, file] : file_of_tensor) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end() || found->second.file->path().filename() != file)
      wrong.push_back(name + " in " + file);
  }
  if (wrong.empty()) return;
  Error error(Fault::model, "model.safetensors.index.json names tensors that are not there");
  for (size_t i = 0; i < std::min(wrong.size(), problems_listed); ++i) error.with("tensor", wrong[i]);
  if (wrong.size() > problems_listed) error.with("and more", wrong.size() - problems_listed);
  throw error;
}

void Weights::note(std::string_view what, std::string_view tensor, std::string expected, std::string actual) {
  const auto found = tensors_.find(tensor);
  problems_.push_back({std::string(what), std::string(tensor),
                       found == tensors_.end() ? "" : found->second.file->path().filename().string(),
                       std::move(expected), std::move(actual)});
}

void Weights::throw_problems() const {
  if (problems_.empty()) return;
  const auto facts = [](const Problem& p) {
    std::vector<std::pair<std::string_view, std::string_view>> given;
    for (const auto& fact : {std::pair{"file", &p.file}, {"expected", &p.expected}, {"actual", &p.actual}})
      if (!fact.second->empty()) given.emplace_back(fact.first, *fact.second);
    return given;
  };
  if (problems_.size() == 1) {
    Error error(Fault::model, problems_[0].what);
    error.with("tensor", problems_[0].tensor);
    for (const auto& [name, value] : facts(problems_[0])) error.with(name, value);
    throw std::move(error).with("model folder", folder_.string());
  }
  Error error(Fault::model, std::to_string(problems_.size()) + " tensors of the model are missing or wrong");
  for (size_t i = 0; i < std::min(problems_.size(), problems_listed); ++i) {
    std::string text = problems_[i].what;
    for (const auto& [name, value] : facts(problems_[i])) text.append("; ").append(name).append(" ").append(value);
    error.with(problems_[i].tensor, text);
  }
  if (problems_.size() > problems_listed) error.with("and more", problems_.size() - problems_listed);
  throw std::move(error).with("model folder", folder_.string());
}

std::vector<Weights::Info> Weights::tensors() const {
  std::vector<Info> all;
  for (const auto& [name, found] : tensors_)
    all.push_back({name, found.file->path().filename().string(), found.stored, found.used});
  return all;
}

std::vector<std::string> Weights::unused() const {
  std::vector<std::string> names;
  for (const auto& [name, found] : tensors_)
    if (!found.used) names.push_back(name);
  return names;
}

uint64_t Weights::total_bytes() const {
  uint64_t total = 0;
  for (const auto& [name, found] : tensors_) total += found.stored->bytes;
  return total;
}

const MappedFile* Weights::file_of(const Tensor& tensor) const {
  if (tensor.empty()) return nullptr;
  const auto* begin = static_cast<const std::byte*>(tensor.raw());
  for (const auto& file : files_) {
    const std::span<const std::byte> bytes = file->mapped().bytes();
    if (begin >= bytes.data() && begin < bytes.data() + bytes.size()) return &file->mapped();
  }
  return nullptr;
}

void Weights::read_ahead(const Matrix& matrix) const {
  for (const Tensor* tensor : {&matrix.data, &matrix.scales, &matrix.quant_biases})
    if (const MappedFile* file = file_of(*tensor))
      file->prefetch(static_cast<const std::byte*>(tensor->raw()), tensor->bytes());
}

void Weights::drop(const Tensor& tensor) const {
  if (const MappedFile* file = file_of(tensor))
    file->drop(static_cast<const std::byte*>(tensor.raw()), tensor.bytes());
}

void Weights::drop(const Matrix& matrix) const {
  drop(matrix.data);
  drop(matrix.scales);
  drop(matrix.quant_biases);
}

}  // namespace chorus
