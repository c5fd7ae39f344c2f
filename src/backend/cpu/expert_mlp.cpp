#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"

namespace chorus::cpu {
namespace {

constexpr int64_t pair_chunk = 32;  // pairs whose gate and up values wait on the stack for their activation

/// The (token, choice) pairs of a step, sorted by expert: pair i of an expert is pairs[first[expert] + i].
struct Pairs {
  int32_t* first;  ///< [E + 1]
  int32_t* pairs;  ///< [T * K] token * K + choice
  int32_t* used;   ///< [E] the experts that have any
  int64_t used_count = 0;
};

void sort_by_expert(const int32_t* experts, int64_t pairs, int64_t count, Pairs& sorted) {
  std::fill(sorted.first, sorted.first + count + 1, 0);
  for (int64_t i = 0; i < pairs; ++i) ++sorted.first[experts[i] + 1];
  for (int64_t e = 0; e < count; ++e) {
    if (sorted.first[e + 1] > 0) sorted.used[sorted.used_count++] = int32_t(e);
    sorted.first[e + 1] += sorted.first[e];
  }
  for (int64_t i = 0; i < pairs; ++i) sorted.pairs[sorted.first[experts[i]]++] = int32_t(i);
  std::copy_backward(sorted.first, sorted.first + count, sorted.first + count + 1);
  sorted.first[0] = 0;
}

/// The bias of one panel, whole even where the matrix ends inside it.
struct PanelBias {
  PanelBias(const Tensor& biases, int64_t expert, int64_t rows, int64_t panel) {
    if (biases.empty()) return;
    const int64_t row = panel * panel_rows;
    std::copy_n(biases.data<float>() + expert * rows + row, std::min<int64_t>(panel_rows, rows - row), values);
  }
  float values[panel_rows] = {};
};

}  // namespace

// The unit of work is one panel of one expert: its weights are read from memory once and used for all of its
// tokens, and threads take units of all experts from one queue, so that unequal experts balance.
void CpuBackend::run(const ExpertMlp& op) {
  const int64_t tokens = op.x.size(0), hidden = op.x.size(1), chosen = op.experts.size(1);
  const int64_t pairs = tokens * chosen, experts = op.gate.experts(), inner = op.gate.weight.rows;
  const PanelFormat in_format = format_of(op.gate.weight), out_format = format_of(op.down.weight);
  const PanelFormat up_format = format_of(op.up.weight);
  // Widths in whole panels: columns past the real ones are never read.
  const int64_t in_panels = (inner + panel_rows - 1) / panel_rows,
                out_panels = (hidden + panel_rows - 1) / panel_rows;

  Arena& arena = workspace();
  const Arena::Scope scope(arena);
  Pairs sorted{.first = arena.array<int32_t>(experts + 1),
               .pairs = arena.array<int32_t>(pairs),
               .used = arena.array<int32_t>(experts)};
  auto* place_of_pair = arena.array<int32_t>(pairs);
  // A token's inputs once for each of its experts: those of one expert's tokens lie one behind the other.
  const std::span<TokenInputs> x = take_inputs(op.x.data<float>(), pairs, in_format, rounds_inputs(in_format));
  auto* activations = arena.array<float>(pairs * in_panels * panel_rows);
  auto* results = arena.array<float>(pairs * out_panels * panel_rows);
  PanelFormat act_format = out_format;
  const std::span<TokenInputs> act = take_inputs(activations, pairs, act_format, rounds_inputs(act_format));
  if (arena.measuring()) return;

  sort_by_expert(op.experts.data<int32_t>(), pairs, experts, sorted);
  for (int64_t i = 0; i < pairs; ++i) {
    place_of_pair[sorted.pairs[i]] = int32_t(i);
    x[size_t(i)].values = op.x.data<float>() + sorted.pairs[i] / chosen * hidden;
  }
  if (rounds_inputs(in_format)) quantise(x, in_format);
  const int64_t act_stride = in_panels * panel_rows;
  for (int64_t i = 0; i < pairs; ++i) act[size_t(i)].values = activations + i * act_stride;

  threads_.for_each_ahead(sorted.used_count * in_panels, [&](int64_t unit, int64_t next_unit) {
    const auto panel = [&](const ExpertLinear& m, const PanelFormat& f, int64_t u) {
      return u < sorted.used_count * in_panels ? panel_of(m.weight, f, sorted.used[u / in_panels], u % in_panels)
                                               : nullptr;
    };
    const int64_t e = sorted.used[unit / in_panels], p = unit % in_panels;
    const PanelBias gate_bias(op.gate.bias, e, inner, p), up_bias(op.up.bias, e, inner, p);
    alignas(64) float gate[pair_chunk * panel_rows], up[pair_chunk * panel_rows];
    for (int64_t i = sorted.first[e]; i < sorted.first[e + 1]; i += pair_chunk) {
      const int64_t n = std::min<int64_t>(pair_chunk, sorted.first[e + 1] - i);
      const std::span<const TokenInputs> in = x.subspan(size_t(i), size_t(n));
      const bool first = i == sorted.first[e];  // later chunks find their weights in the cache
      const std::byte* up_panel = panel(op.up, up_format, unit);
      product(rounds_inputs(in_format), {.format = in_format,
                                         .panel = panel(op.gate, in_format, unit),
                                         .next = first ? up_panel : nullptr,
                                         .bias = gate_bias.values,
                                         .x = in,
                                         .out = gate,
                                         .out_stride = panel_rows});
      product(rounds_inputs(in_format), {.format = up_format,
                                         .panel = up_panel,
                                         .next = first ? panel(op.gate, in_format, next_unit) : nullptr,
                                         .bias = up_bias.values,
                                         .x = in,
                                         .out = up,
                                         .out_stride = panel_rows});
      for (int64_t j = 0; j < n; ++j)
        kernels_.clamped_swiglu(gate + j * panel_rows, up + j * panel_rows, panel_rows, op.activation.alpha,
                                op.activation.limit, activations + (i + j) * act_stride + p * panel_rows);
    }
  });

  if (rounds_inputs(act_format)) quantise(act, act_format);
  threads_.for_each_ahead(sorted.used_count * out_panels, [&](int64_t unit, int64_t next_unit) {
    const auto panel = [&](int64_t u) {
      return u < sorted.used_count * out_panels
                 ? panel_of(op.down.weight, out_format, sorted.used[u / out_panels], u % out_panels)
                 : nullptr;
    };
    const int64_t e = sorted.used[unit / out_panels], p = unit % out_panels;
    const PanelBias bias(op.down.bias, e, hidden, p);
    const int64_t first = sorted.first[e], n = sorted.first[e + 1] - first, stride = out_panels * panel_rows;
    product(rounds_inputs(out_format), {.format = out_format,
                                        .panel = panel(unit),
                                        .next = panel(next_unit),
                                        .bias = bias.values,
                                        .x = act.subspan(size_t(first), size_t(n)),
                                        .out = results + first * stride + p * panel_rows,
                                        .out_stride = stride});
  });

  // Back to the tokens, in the order of the choices.
  threads_.for_each(tokens, [&](int64_t t) {
    const float* weights = op.weights.data<float>() + t * chosen;
    const auto result = [&](int64_t j) {
      return results + int64_t(place_of_pair[t * chosen + j]) * out_panels * panel_rows;
    };
    float* const sum = result(0);
    for (int64_t h = 0; h < hidden; ++h) sum[h] *= weights[0];
    for (int64_t j = 1; j < chosen; ++j) {
      const float* y = result(j);
      for (int64_t h = 0; h < hidden; ++h) sum[h] += weights[j] * y[h];
    }
    float* out = op.out.data<float>() + t * hidden;
    const float* residual = op.residual.empty() ? nullptr : op.residual.data<float>() + t * hidden;
    for (int64_t h = 0; h < hidden; ++h) out[h] = residual != nullptr ? residual[h] + sum[h] : sum[h];
  });
  if (!op.next_norm.empty()) run(RmsNorm{.x = op.out, .weight = op.next_norm, .eps = op.eps, .out = op.next_normed});
}

}  // namespace chorus::cpu
