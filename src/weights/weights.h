#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/json.h"
#include "ops/matrix.h"
#include "weights/quantization.h"
#include "weights/safetensors.h"

namespace chorus {

/// All tensors of a model folder, by name, as views into the mapped files; the Weights outlive them. Read-only: a
/// write into one is a segmentation fault.
///
/// A look-up does not throw on a bad tensor: it notes the problem and returns something empty, so that a model
/// asks for all it needs, then calls throw_problems(), and the user reads about all of them at once.
///
/// Tensors are aligned (copied, where the file has them at odd addresses: they are small). The parts of a Matrix
/// are not, because the files are not: read them with memcpy, as ops/dequantize.h does.
class Weights {
 public:
  /// Reads config.json, generation_config.json and the headers of all safetensors files. Throws Fault::model or
  /// io.
  static Weights open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const Json& config() const { return config_; }
  /// An empty object where the folder has no generation_config.json.
  const Json& generation_config() const { return generation_config_; }
  const QuantizationConfig& quantization() const { return quantization_; }

  /// A dense tensor of bf16, f16 or f32: a norm, a bias, sinks.
  Tensor tensor(std::string_view name, const Shape& expected);
  /// The same, or an empty tensor where the folder has none of that name.
  Tensor optional_tensor(std::string_view name, const Shape& expected);

  enum class Bias { none, optional, required };

  /// NAME.weight, with NAME.scales and NAME.biases where it is quantised, and NAME.bias: [outputs].
  Linear linear(std::string_view name, int64_t inputs, int64_t outputs, Bias bias = Bias::optional);

  /// A stack of experts. `name` is MLX's: "...mlp.experts.gate_proj" with tensors [experts, outputs, inputs].
  /// Where the folder has OpenAI's spelling instead, the same name means its part of
  /// gate_up_proj_blocks/_scales/_bias (rows of gate and up alternate) or of down_proj_blocks/_scales/_bias.
  ExpertLinear expert_linear(std::string_view name, int64_t experts, int64_t inputs, int64_t outputs,
                             Bias bias = Bias::optional);

  bool has(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }

  /// Throws one Fault::model that lists every problem that the look-ups met, if they met any.
  void throw_problems() const;

  /// Every tensor of the folder.
  struct Info {
    std::string name;
    std::string file;
    const StoredTensor* stored;
    bool used;  ///< by a look-up
  };
  std::vector<Info> tensors() const;
  /// The names of those that nobody asked for.
  std::vector<std::string> unused() const;
  uint64_t total_bytes() const;

  /// Asks the system to read what will be placed soon; the disk then works while others are placed.
  void read_ahead(const Matrix& matrix) const;
  /// Gives the memory pages back to the system: the backend has its own copy now.
  void drop(const Tensor& tensor) const;
  void drop(const Matrix& matrix) const;

 private:
  struct Found {
    const SafetensorsFile* file;
    const StoredTensor* stored;
    bool used = false;
  };
  struct Problem {
    std::string what, tensor, file, expected, actual;
  };
  enum class Kind { floats, codes, scale_bytes };

  Weights() = default;
  const MappedFile* file_of(const Tensor& tensor) const;
  void add_file(const std::filesystem::path& file);
  void check_index(const std::map<std::string, std::string>& file_of_tensor) const;

  Found* find(std::string_view name);
  Tensor view(std::string_view name, Kind kind, const Shape& expected, std::string_view expected_because = {});
  Tensor aligned(Tensor tensor);
  Tensor bias(std::string_view name, const Shape& expected, Bias wanted);
  Matrix matrix(std::string_view name, int64_t experts, int64_t inputs, int64_t outputs);
  Matrix dense(std::string_view name, const Shape& expected);
  Matrix quantised(std::string_view name, const Quantization& how, const Shape& expected);
  ExpertLinear openai_experts(std::string_view name, int64_t experts, int64_t inputs, int64_t outputs, Bias bias);
  void* own(size_t bytes);
  void note(std::string_view what, std::string_view tensor, std::string expected, std::string actual);

  std::filesystem::path folder_;
  Json config_, generation_config_ = Json::object();
  QuantizationConfig quantization_{Json::object()};
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Found, std::less<>> tensors_;
  std::vector<std::unique_ptr<std::byte[]>> owned_;
  std::vector<Problem> problems_;
};

}  // namespace chorus
