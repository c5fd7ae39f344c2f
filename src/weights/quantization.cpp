#include "weights/quantization.h"

#include <algorithm>

#include "chorus/error.h"

namespace chorus {
namespace {

struct Mode {
  std::string_view name;
  Quantization standard;  // what MLX takes where the config gives no bits or group_size
};

constexpr Mode modes[] = {
    {"affine", {Coding::affine, 4, 64}},
    {"mxfp4", {Coding::mxfp4, 4, 32}},
    {"mxfp8", {Coding::mxfp8, 8, 32}},
    {"nvfp4", {Coding::nvfp4, 4, 16}},
};

int whole_number(const Json& value, const char* field, std::string_view where) {
  if (!value.is_number_integer() || value < 1 || value > 1024)
    throw Error(Fault::model, "quantisation in config.json is not valid")
        .with("module", where)
        .with(field, value.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 80));
  return value.get<int>();
}

Quantization read_parameters(const Json& value, std::string_view where) {
  std::string name = "affine";
  if (const auto mode = value.find("mode"); mode != value.end())
    name = mode->is_string() ? mode->get<std::string>() : "not a string";
  const auto* mode =
      std::find_if(std::begin(modes), std::end(modes), [&](const Mode& m) { return m.name == name; });
  if (mode == std::end(modes))
    throw Error(Fault::model, "unknown quantisation mode")
        .with("module", where)
        .with("mode", name.substr(0, 80))
        .with("known", "affine, mxfp4, mxfp8, nvfp4");
  Quantization q = mode->standard;
  if (const auto bits = value.find("bits"); bits != value.end()) q.bits = whole_number(*bits, "bits", where);
  if (const auto group = value.find("group_size"); group != value.end())
    q.group_size = whole_number(*group, "group_size", where);
  const bool exists = q.coding == Coding::affine
                          ? q.bits >= 2 && q.bits <= 8 && q.bits != 7 &&
                                (q.group_size == 32 || q.group_size == 64 || q.group_size == 128)
                          : q == mode->standard;
  if (!exists)
    throw Error(Fault::model, "quantisation that does not exist")
        .with("module", where)
        .with("actual", text_of(q))
        .with("expected", q.coding == Coding::affine ? "affine of 2, 3, 4, 5, 6 or 8 bits, groups of 32, 64 or 128"
                                                     : text_of(mode->standard));
  return q;
}

std::string_view take_part(std::string_view& path) {
  const size_t dot = path.find('.');
  const std::string_view part = path.substr(0, dot);
  path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  return part;
}

// "model.layers.*.self_attn" covers every module below such a path.
bool covers(std::string_view pattern, std::string_view module) {
  while (!pattern.empty()) {
    if (module.empty()) return false;
    const std::string_view wanted = take_part(pattern), part = take_part(module);
    if (wanted != "*" && wanted != part) return false;
  }
  return true;
}

}  // namespace

std::string_view name_of(Coding coding) {
  if (coding == Coding::dense) return "dense";
  return std::find_if(std::begin(modes), std::end(modes),
                      [&](const Mode& m) { return m.standard.coding == coding; })
      ->name;
}

std::string text_of(const Quantization& q) {
  return std::string(name_of(q.coding)) + ", " + std::to_string(q.bits) + " bits, groups of " +
         std::to_string(q.group_size);
}

QuantizationConfig::QuantizationConfig(const Json& config) {
  auto found = config.find("quantization");
  if (found == config.end() || found->is_null()) found = config.find("quantization_config");
  if (found == config.end() || found->is_null()) return;
  if (!found->is_object()) throw Error(Fault::model, "quantisation in config.json is not an object");

  if (const auto method = found->find("quant_method"); method != found->end() && !found->contains("group_size")) {
    if (*method != "mxfp4")
      throw Error(Fault::model, "quantisation method is not supported")
          .with("quant_method", method->is_string() ? method->get<std::string>().substr(0, 80) : "not a string")
          .with("supported", "MLX's quantisation, and OpenAI's mxfp4");
    openai_ = true;
    top_ = Quantization{Coding::mxfp4, 4, 32};
    if (const auto names = found->find("modules_to_not_convert"); names != found->end() && names->is_array())
      for (const Json& name : *names)
        if (name.is_string()) not_converted_.push_back(name);
    return;
  }

  top_ = read_parameters(*found, "(all)");
  for (const auto& [name, value] : found->items()) {
    if (value.is_boolean())
      overrides_.push_back({name, {value.get<bool>() ? Demand::quantised : Demand::dense, *top_}});
    else if (value.is_object())
      overrides_.push_back({name, {Demand::quantised, read_parameters(value, name)}});
  }
  std::sort(overrides_.begin(), overrides_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

QuantizationConfig::Module QuantizationConfig::of(std::string_view module) const {
  const auto found = std::lower_bound(overrides_.begin(), overrides_.end(), module,
                                      [](const auto& entry, std::string_view name) { return entry.first < name; });
  if (found != overrides_.end() && found->first == module) return found->second;
  if (!top_) return {};
  const bool excluded = std::any_of(not_converted_.begin(), not_converted_.end(),
                                    [&](const std::string& pattern) { return covers(pattern, module); });
  return excluded ? Module{} : Module{Demand::either, *top_};
}

}  // namespace chorus
