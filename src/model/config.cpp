#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/json.h"
#include "chorus/error.h"

namespace chorus {
namespace {

Error bad_key(std::string_view key, std::string expected, const Json* actual) {
  return Error(Fault::model, actual == nullptr ? "config.json lacks a key" : "config.json has a bad value")
      .with("key", key)
      .with("expected", expected)
      .with("actual", actual == nullptr ? "nothing" : to_json_line(*actual));
}

double number(const Json& json, std::string_view key, double otherwise) { return Config(json).number_or(key, otherwise); }

/// The dimension (of the rotary pairs) that turns `rotations` times over the original context.
double correction_dim(double rotations, double dims, double base, double context) {
  return dims * std::log(context / (rotations * 2 * std::numbers::pi)) / (2 * std::log(base));
}

void apply_yarn(const Json& scaling, double base, int64_t head_dim, RopeConfig& rope) {
  const double factor = number(scaling, "factor", 1), dims = double(head_dim);
  const double context = number(scaling, "original_max_position_embeddings", 4096);
  double low = correction_dim(number(scaling, "beta_fast", 32), dims, base, context);
  double high = correction_dim(number(scaling, "beta_slow", 1), dims, base, context);
  if (Config(scaling).flag_or("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < rope.frequencies.size(); ++i) {
    const double extrapolated = std::pow(base, -2 * double(i) / dims), interpolated = extrapolated / factor;
    const double keep = 1 - std::clamp((double(i) - low) / (high - low), 0.0, 1.0);
    rope.frequencies[i] = float(interpolated * (1 - keep) + extrapolated * keep);
  }
  const auto attention_factor = [&](double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; };
  const double mscale = number(scaling, "mscale", 1), all_dim = number(scaling, "mscale_all_dim", 0);
  rope.scale = float(attention_factor(mscale) / attention_factor(all_dim));
}

/// Llama 3.1's: frequencies that turn often over the original context stay, slow ones are divided, between the two
/// they go over smoothly.
void apply_llama3(const Json& scaling, RopeConfig& rope) {
  const double factor = number(scaling, "factor", 1);
  const double context = number(scaling, "original_max_position_embeddings", 8192);
  const double low = number(scaling, "low_freq_factor", 1), high = number(scaling, "high_freq_factor", 4);
  if (!(high > low))
    throw bad_key("rope_scaling.high_freq_factor", "a number above low_freq_factor",
                  Config(scaling).find("high_freq_factor"));
  for (float& f : rope.frequencies) {
    const double turns = context * double(f) / (2 * std::numbers::pi);
    const double keep = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    f = float(double(f) * ((1 - keep) / factor + keep));
  }
}

}  // namespace

const Json* Config::find(std::string_view key) const {
  const auto it = json_.find(key);
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

int64_t Config::integer(std::string_view key, int64_t min, int64_t max) const {
  const Json* value = find(key);
  const std::string expected = "an integer from " + std::to_string(min) + " to " + std::to_string(max);
  if (value == nullptr || !value->is_number_integer()) throw bad_key(key, expected, value);
  const auto n = value->get<int64_t>();
  if (n < min || n > max) throw bad_key(key, expected, value);
  return n;
}

int64_t Config::integer_or(std::string_view key, int64_t otherwise, int64_t min, int64_t max) const {
  return find(key) == nullptr ? otherwise : integer(key, min, max);
}

double Config::number_or(std::string_view key, double otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) throw bad_key(key, "a number", value);
  return value->get<double>();
}

bool Config::flag_or(std::string_view key, bool otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) throw bad_key(key, "true or false", value);
  return value->get<bool>();
}

RopeConfig rope_config(const Json& json, int64_t head_dim) {
  const Config config(json);
  const Json* scaling = config.find("rope_scaling");
  if (scaling == nullptr) scaling = config.find("rope_parameters");  // transformers 5
  double base = config.number_or("rope_theta", 10000);
  if (scaling != nullptr && scaling->is_object()) base = number(*scaling, "rope_theta", base);
  if (!(base > 1)) throw bad_key("rope_theta", "a number above 1", config.find("rope_theta"));

  RopeConfig rope;
  for (int64_t i = 0; i < head_dim / 2; ++i)
    rope.frequencies.push_back(float(std::pow(base, -2 * double(i) / double(head_dim))));
  if (scaling == nullptr) return rope;
  if (!scaling->is_object()) throw bad_key("rope_scaling", "an object", scaling);
  const Config s(*scaling);
  const Json* type = s.find("rope_type") != nullptr ? s.find("rope_type") : s.find("type");
  const std::string name = type == nullptr ? "default" : type->is_string() ? type->get<std::string>() : "?";
  if (!(s.number_or("factor", 1) > 0)) throw bad_key("rope_scaling.factor", "a number above 0", s.find("factor"));
  if (name == "default") return rope;
  if (name == "linear") {
    for (float& f : rope.frequencies) f /= float(s.number_or("factor", 1));
  } else if (name == "yarn") {
    apply_yarn(*scaling, base, head_dim, rope);
  } else if (name == "llama3") {
    apply_llama3(*scaling, rope);
  } else {
    throw bad_key("rope_scaling.rope_type", "default, linear, llama3 or yarn", type);
  }
  return rope;
}

}  // namespace chorus
