#include <algorithm>

#include "backend/cpu/cpu_backend.h"

namespace chorus::cpu {

void CpuBackend::run(const MatMul& op) {
  const Matrix& w = op.linear.weight;
  const PanelFormat format = format_of(w);
  const int64_t tokens = op.x.size(0), outputs = w.rows, panels = (outputs + panel_rows - 1) / panel_rows;
  const Arena::Scope scope(workspace());
  const std::span<TokenInputs> x = take_inputs(op.x.data<float>(), tokens, format);
  // A last panel with fewer than 16 rows cannot write whole lanes into out.
  float* edge = outputs % panel_rows == 0 ? nullptr : workspace().array<float>(tokens * panel_rows);
  if (workspace().measuring()) return;
  quantise(x, format);

  float* const out = op.out.data<float>();
  const float* const bias = op.linear.bias.empty() ? nullptr : op.linear.bias.data<float>();
  // Neighbouring panels together: one linear stream per thread reads memory best.
  const int64_t per_unit = std::clamp<int64_t>(panels / (threads_.size() * 8), 1, 16);
  threads_.for_each((panels + per_unit - 1) / per_unit, [&](int64_t unit) {
    for (int64_t p = unit * per_unit; p < std::min(panels, (unit + 1) * per_unit); ++p) {
      const int64_t first = p * panel_rows, rows = std::min<int64_t>(panel_rows, outputs - first);
      const bool whole = rows == panel_rows;
      float* to = whole ? out + first : edge;
      const int64_t stride = whole ? outputs : panel_rows;
      product(format, panel_of(w, format, 0, p), x, to, stride);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t r = 0; r < rows; ++r)
          out[t * outputs + first + r] = to[t * stride + r] + (bias != nullptr ? bias[first + r] : 0);
    }
  });
}

}  // namespace chorus::cpu
