// From the mapped files to panels (panel_format.h). Usual codings go to the device as they are, and it lays them
// out (lay_out.cu); others the host lays out in pinned memory while the panels before them are on their way.
#include <algorithm>
#include <array>

#include "backend/cuda/cuda_backend.h"
#include "chorus/error.h"
#include "ops/dequantize.h"

namespace chorus::cuda {
namespace {

constexpr int64_t half_bytes = int64_t(16) << 20;

}  // namespace

void CudaBackend::stream_panels(const Stack& stack, const PanelFormat& f, std::byte* to) {
  const int64_t bytes = f.panel_bytes(), panels = f.panels(), per_half = half_bytes / bytes;
  if (per_half == 0)
    throw Error(Fault::model, "a matrix has too many inputs for this backend").with("inputs", f.columns);
  for (int64_t matrix = 0; matrix < stack.parts[0].matrices; ++matrix)
    for (int64_t begin = 0; begin < panels; begin += per_half) {
      const int64_t n = std::min(per_half, panels - begin);
      std::byte* half = next_half();
      threads_.for_each(n, [&](int64_t i) { lay_out_panel(stack, matrix, begin + i, f, half + i * bytes); });
      send_half(to + (matrix * panels + begin) * bytes, size_t(n * bytes));
    }
}

Matrix CudaBackend::place_panels(std::span<const Matrix> parts, PanelFormat f) {
  use_device();
  if (f.quantised() && f.columns % 32 != 0)
    throw Error(Fault::model, "a quantised matrix needs inputs in multiples of 32").with("inputs", f.columns);
  f.rows = 0;
  for (const Matrix& part : parts) {
    if (part.columns != f.columns) throw Error(Fault::internal, "stacked matrices have different inputs");
    f.rows += part.rows;
  }
  Matrix placed = parts[0];
  placed.layout = Layout::placed;
  placed.rows = f.rows;
  placed.row_first = 0;
  placed.row_step = 1;
  placed.scales = placed.quant_biases = Tensor();
  const DType type = type_of(f);
  placed.data = allocate(type, {placed.matrices * f.panels() * f.panel_bytes() / int64_t(size_of(type))});
  placed_bytes_ += placed.data.bytes();
  auto* const to = static_cast<std::byte*>(placed.data.raw());
  if (lays_out(parts[0], f))
    stream_rows({parts}, f, to);
  else
    stream_panels({parts}, f, to);
  return placed;
}

Linear CudaBackend::place(std::span<const Linear> parts) {
  std::vector<Matrix> matrices;
  std::vector<float> bias;
  for (const Linear& part : parts) {
    matrices.push_back(part.weight);
    for (int64_t i = 0; !part.bias.empty() && i < part.outputs(); ++i)
      bias.push_back(load_float(part.bias.dtype(), part.bias.raw(), i));
  }
  Linear placed{.weight = place_panels(matrices, format_for(matrices)), .bias = {}};
  if (bias.empty()) return placed;
  placed.bias = allocate(DType::f32, {int64_t(bias.size())});
  upload(placed.bias, bias.data(), placed.bias.bytes());
  return placed;
}

ExpertLinear CudaBackend::place_experts(const ExpertLinear& experts, const PanelFormat& format) {
  return {.weight = place_panels({&experts.weight, 1}, format),
          .bias = experts.bias.empty() ? Tensor() : place(experts.bias)};
}

ExpertLinear CudaBackend::place(const ExpertLinear& experts) {
  return place_experts(experts, format_for(experts.weight));
}

std::pair<ExpertLinear, ExpertLinear> CudaBackend::place_gate_up(const ExpertLinear& gate, const ExpertLinear& up) {
  const PanelFormat f = format_for(std::array{gate.weight, up.weight});
  return {place_experts(gate, f), place_experts(up, f)};
}

Tensor CudaBackend::place(const Tensor& vector) {
  std::vector<float> values(size_t(vector.elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = load_float(vector.dtype(), vector.raw(), int64_t(i));
  const Tensor placed = allocate(DType::f32, vector.shape());
  upload(placed, values.data(), placed.bytes());
  return placed;
}

}  // namespace chorus::cuda
