#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/json.h"

namespace chorus {

/// Typed look-ups in config.json. A missing or ill-typed key throws Fault::model naming the key, what was expected
/// and what was there.
class Config {
 public:
  explicit Config(const Json& json) : json_(json) {}

  int64_t integer(std::string_view key, int64_t min, int64_t max) const;
  int64_t integer_or(std::string_view key, int64_t otherwise, int64_t min, int64_t max) const;
  double number_or(std::string_view key, double otherwise) const;
  bool flag_or(std::string_view key, bool otherwise) const;
  const Json* find(std::string_view key) const;  ///< null where absent or null

 private:
  const Json& json_;
};

/// Rotary frequencies as config.json describes them.
struct RopeConfig {
  std::vector<float> frequencies;  ///< [head_dim / 2] radians per position
  float scale = 1;                 ///< attention factor on both q and k
};

/// rope_theta and rope_scaling: none, default, linear, llama3 (Dubey et al. 2024), or YaRN (Peng et al. 2023;
/// `truncate` false keeps the fractional correction range, as OpenAI and transformers do). Throws Fault::model for
/// other types.
RopeConfig rope_config(const Json& config, int64_t head_dim);

}  // namespace chorus
