#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/json.h"
#include "ops/matrix.h"

namespace chorus {

/// How a module's weight is coded.
struct Quantization {
  Coding coding = Coding::affine;
  int bits = 4;
  int group_size = 64;

  bool operator==(const Quantization&) const = default;
};

std::string_view name_of(Coding coding);
/// "affine, 8 bits, groups of 64"
std::string text_of(const Quantization& quantization);

/// config.json's "quantization" (MLX; "quantization_config" where that is absent), or OpenAI's
/// {"quant_method": "mxfp4", "modules_to_not_convert": [...]}:
///
///     {"group_size": 32, "bits": 4, "mode": "mxfp4",                      for every module that has scales, but
///     for
///      "lm_head": {"group_size": 64, "bits": 8}, "model.embed_tokens": false, ...}
///
/// An override without "mode" is affine, whatever stands at the top (mlx-lm passes it to the module as it is).
class QuantizationConfig {
 public:
  /// Throws Fault::model on values that no format has.
  explicit QuantizationConfig(const Json& config);

  enum class Demand {
    dense,      ///< the config says that this module is not quantised
    quantised,  ///< it says that it is
    either,     ///< nothing said about this module: quantised where it has scales
  };
  struct Module {
    Demand demand = Demand::dense;
    Quantization quantization;  ///< unless dense
  };
  Module of(std::string_view module) const;

  /// OpenAI's folders: mxfp4 experts in tensors named _blocks and _scales.
  bool openai() const { return openai_; }

 private:
  bool openai_ = false;
  std::optional<Quantization> top_;
  std::vector<std::pair<std::string, Module>> overrides_;  // sorted by name
  std::vector<std::string> not_converted_;                 // OpenAI: name patterns, "*" for one part
};

}  // namespace chorus
