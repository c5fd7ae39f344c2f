// The look-ups of Weights: from a name and what the model expects to a checked view.
#include <algorithm>
#include <cstring>

#include "weights/weights.h"

namespace chorus {
namespace {

std::string dotted(std::string_view name, std::string_view last) {
  return std::string(name).append(".").append(last);
}

std::string text_of(const Shape& shape, std::string_view because) {
  return because.empty() ? shape.text() : shape.text() + " (" + std::string(because) + ")";
}

// [outputs, n] or [experts, outputs, n]
Shape with_last(const Shape& shape, int64_t n) {
  return shape.rank() == 2 ? Shape{shape[0], n} : Shape{shape[0], shape[1], n};
}

int64_t code_words(const Quantization& how, int64_t inputs) {
  return inputs / 32 * how.bits;
}

}  // namespace

Weights::Found* Weights::find(std::string_view name) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return nullptr;
  found->second.used = true;
  return &found->second;
}

Tensor Weights::view(std::string_view name, Kind kind, const Shape& expected, std::string_view because) {
  const Found* found = find(name);
  if (found == nullptr) {
    note("tensor is missing", name, text_of(expected, because), "");
    return {};
  }
  const StoredTensor& stored = *found->stored;
  const bool right = stored.dtype && (kind == Kind::floats  ? is_float(*stored.dtype)
                                      : kind == Kind::codes ? *stored.dtype == DType::u32
                                                            : *stored.dtype == DType::u8);
  if (!right) {
    const char* wanted = kind == Kind::floats ? "BF16, F16 or F32" : kind == Kind::codes ? "U32" : "U8";
    std::string reason = because.empty() ? wanted : std::string(wanted) + " (" + std::string(because) + ")";
    note("tensor has the wrong dtype", name, std::move(reason), std::string(stored.dtype_name));
    return {};
  }
  const bool same = stored.sizes.size() == size_t(expected.rank()) && [&] {
    for (int i = 0; i < expected.rank(); ++i)
      if (stored.sizes[size_t(i)] != expected[i]) return false;
    return true;
  }();
  if (!same) {
    note("tensor has the wrong shape", name, text_of(expected, because), stored.shape_text());
    return {};
  }
  // Tensors are views for reading and writing; these are mapped read-only.
  return {*stored.dtype, expected, const_cast<std::byte*>(found->file->bytes(stored).data())};
}

void* Weights::own(size_t bytes) {
  return owned_.emplace_back(std::make_unique<std::byte[]>(bytes)).get();
}

Tensor Weights::aligned(Tensor tensor) {
  if (tensor.empty() || reinterpret_cast<uintptr_t>(tensor.raw()) % size_of(tensor.dtype()) == 0) return tensor;
  void* copy = own(tensor.bytes());
  std::memcpy(copy, tensor.raw(), tensor.bytes());
  return {tensor.dtype(), tensor.shape(), copy};
}

Tensor Weights::tensor(std::string_view name, const Shape& expected) {
  return aligned(view(name, Kind::floats, expected));
}

Tensor Weights::optional_tensor(std::string_view name, const Shape& expected) {
  return has(name) ? tensor(name, expected) : Tensor();
}

Tensor Weights::bias(std::string_view name, const Shape& expected, Bias wanted) {
  if (wanted == Bias::none || (wanted == Bias::optional && !has(name))) return {};
  return tensor(name, expected);
}

Linear Weights::linear(std::string_view name, int64_t inputs, int64_t outputs, Bias wanted) {
  return {matrix(name, 0, inputs, outputs), bias(dotted(name, "bias"), {outputs}, wanted)};
}

ExpertLinear Weights::expert_linear(std::string_view name, int64_t experts, int64_t inputs, int64_t outputs,
                                    Bias wanted) {
  if (quantization_.openai() && !has(dotted(name, "weight")))
    return openai_experts(name, experts, inputs, outputs, wanted);
  return {matrix(name, experts, inputs, outputs), bias(dotted(name, "bias"), {experts, outputs}, wanted)};
}

// experts = 0: one matrix.
Matrix Weights::matrix(std::string_view name, int64_t experts, int64_t inputs, int64_t outputs) {
  const Shape shape = experts == 0 ? Shape{outputs, inputs} : Shape{experts, outputs, inputs};
  const QuantizationConfig::Module module = quantization_.of(name);
  const bool has_scales = has(dotted(name, "scales"));
  using Demand = QuantizationConfig::Demand;
  Matrix m;
  if (module.demand == Demand::dense && has_scales) {
    find(dotted(name, "scales"));
    note("tensor is quantised, and config.json says that it is not", dotted(name, "weight"), "no scales",
         "scales");
  } else if (module.demand == Demand::quantised && !has_scales && has(dotted(name, "weight"))) {
    find(dotted(name, "weight"));
    note("tensor is not quantised, and config.json says that it is", dotted(name, "weight"),
         text_of(module.quantization), "no scales");
  } else if (module.demand == Demand::quantised || has_scales) {
    m = quantised(name, module.quantization, shape);
  } else {
    m = dense(name, shape);
  }
  if (!m.empty()) {
    m.matrices = std::max<int64_t>(experts, 1);
    m.columns = inputs;
  }
  return m;
}

Matrix Weights::dense(std::string_view name, const Shape& expected) {
  Matrix m;
  m.data = view(dotted(name, "weight"), Kind::floats, expected);
  if (!m.data.empty()) m.rows = expected[-2];
  return m;
}

Matrix Weights::quantised(std::string_view name, const Quantization& how, const Shape& expected) {
  const int64_t inputs = expected[-1];
  if (inputs % how.group_size != 0 || inputs % 32 != 0) {
    note("quantised tensor's inputs are no multiple of the group size", dotted(name, "weight"), text_of(how),
         std::to_string(inputs) + " inputs");
    return {};
  }
  const std::string because = text_of(how);
  const Shape groups = with_last(expected, inputs / how.group_size);
  const bool affine = how.coding == Coding::affine;
  Matrix m;
  m.coding = how.coding;
  m.bits = how.bits;
  m.group_size = how.group_size;
  m.data = view(dotted(name, "weight"), Kind::codes, with_last(expected, code_words(how, inputs)), because);
  m.scales = view(dotted(name, "scales"), affine ? Kind::floats : Kind::scale_bytes, groups, because);
  if (affine) {
    m.quant_biases = view(dotted(name, "biases"), Kind::floats, groups, because);
    if (!m.scales.empty() && !m.quant_biases.empty() && m.scales.dtype() != m.quant_biases.dtype()) {
      note("scales and biases have different dtypes", dotted(name, "biases"),
           std::string(name_of(m.scales.dtype())), std::string(name_of(m.quant_biases.dtype())));
      return {};
    }
  } else if (find(dotted(name, "biases")) != nullptr) {
    note("tensor does not belong to this quantisation", dotted(name, "biases"), because, "biases");
  }
  if (m.data.empty() || m.scales.empty() || m.quant_biases.empty() == affine) return {};
  m.rows = expected[-2];
  return m;
}

// OpenAI's blocks are 16 bytes per group of 32 codes, low nibble first: MLX's u32 words byte for byte.
//   experts.gate_up_proj_blocks u8 [experts, 2 * outputs, groups, 16], _scales u8 [experts, 2 * outputs, groups],
//   _bias [experts, 2 * outputs]: row 2r is gate's row r, row 2r + 1 up's; experts.down_proj_* without the
//   doubling.
ExpertLinear Weights::openai_experts(std::string_view name, int64_t experts, int64_t inputs, int64_t outputs,
                                     Bias wanted) {
  const size_t dot = name.rfind('.');
  const std::string_view part = name.substr(dot + 1);  // the whole name where there is no dot
  const bool gate = part == "gate_proj", up = part == "up_proj";
  const int64_t step = gate || up ? 2 : 1, first = up ? 1 : 0;
  const std::string stored =
      std::string(name.substr(0, dot + 1)) + (step == 2 ? "gate_up_proj" : std::string(part));
  constexpr int group_size = 32, block_bytes = 16;
  if (quantization_.of(name).demand == QuantizationConfig::Demand::dense)
    note("tensor is quantised, and config.json says that it is not", stored + "_blocks", "", "");
  if (inputs % group_size != 0) {
    note("quantised tensor's inputs are no multiple of the group size", stored + "_blocks", "mxfp4, groups of 32",
         std::to_string(inputs) + " inputs");
    return {};
  }

  const int64_t rows = outputs * step, groups = inputs / group_size;
  ExpertLinear linear;
  const Tensor blocks = view(stored + "_blocks", Kind::scale_bytes, {experts, rows, groups, block_bytes}, "mxfp4");
  const Tensor scales = view(stored + "_scales", Kind::scale_bytes, {experts, rows, groups}, "mxfp4");
  if (!blocks.empty() && !scales.empty())
    linear.weight = {.coding = Coding::mxfp4,
                     .bits = 4,
                     .group_size = group_size,
                     .matrices = experts,
                     .rows = outputs,
                     .columns = inputs,
                     .data = {DType::u32, {experts, rows, groups * block_bytes / 4}, blocks.raw()},
                     .scales = scales,
                     .quant_biases = {},
                     .row_first = first,
                     .row_step = step};

  linear.bias = bias(stored + "_bias", {experts, rows}, wanted);
  if (step == 2 && !linear.bias.empty()) {
    const size_t size = size_of(linear.bias.dtype());
    const auto* from = static_cast<const std::byte*>(linear.bias.raw());
    auto* to = static_cast<std::byte*>(own(size_t(experts * outputs) * size));
    for (int64_t i = 0; i < experts * outputs; ++i)
      std::memcpy(to + size_t(i) * size, from + size_t(i * step + first) * size, size);
    linear.bias = {linear.bias.dtype(), {experts, outputs}, to};
  }
  return linear;
}

}  // namespace chorus
