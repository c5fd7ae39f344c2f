#include <algorithm>

#include "backend/cpu/cpu_backend.h"

namespace chorus::cpu {

void CpuBackend::run(const MatMul& op) {
  multiply(op, rounds_inputs(format_of(op.linear.weight)));
}

void CpuBackend::multiply(const MatMul& op, bool rounded) {
  const Matrix& w = op.linear.weight;
  const PanelFormat format = format_of(w);
  const int64_t tokens = op.x.size(0), outputs = w.rows, panels = (outputs + panel_rows - 1) / panel_rows;
  const Arena::Scope scope(workspace());
  const std::span<TokenInputs> x = take_inputs(op.x.data<float>(), tokens, format, rounded);
  // A last panel with fewer than 16 rows cannot write whole lanes into out.
  float* edge = outputs % panel_rows == 0 ? nullptr : workspace().array<float>(tokens * panel_rows);
  float* const sums = op.residual.empty() ? nullptr : workspace().array<float>(tokens * outputs);
  if (workspace().measuring()) return;
  if (rounded) quantise(x, format);

  float* const out = op.residual.empty() ? op.out.data<float>() : sums;
  const float* const bias = op.linear.bias.empty() ? nullptr : op.linear.bias.data<float>();
  // Neighbouring panels together: one linear stream per thread reads memory best.
  const int64_t per_unit = std::clamp<int64_t>(panels / (threads_.size() * 8), 1, 16);
  const int64_t units = (panels + per_unit - 1) / per_unit;
  threads_.for_each_ahead(units, [&](int64_t unit, int64_t next_unit) {
    const int64_t end = std::min(panels, (unit + 1) * per_unit);
    for (int64_t p = unit * per_unit; p < end; ++p) {
      const int64_t first = p * panel_rows, next = p + 1 < end ? p + 1 : next_unit * per_unit;
      const bool whole = first + panel_rows <= outputs;
      product(rounded, {.format = format,
                        .panel = panel_of(w, format, 0, p),
                        .next = next < panels ? panel_of(w, format, 0, next) : nullptr,
                        .bias = bias != nullptr && whole ? bias + first : nullptr,
                        .x = x,
                        .out = whole ? out + first : edge,
                        .out_stride = whole ? outputs : panel_rows});
      if (whole) continue;
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t r = 0; r < outputs - first; ++r)
          out[t * outputs + first + r] = edge[t * panel_rows + r] + (bias != nullptr ? bias[first + r] : 0);
    }
  });
  if (op.residual.empty()) return;
  threads_.for_each(tokens, [&](int64_t t) {
    for (int64_t i = t * outputs; i < (t + 1) * outputs; ++i)
      op.out.data<float>()[i] = op.residual.data<float>()[i] + sums[i];
  });
}

}  // namespace chorus::cpu
