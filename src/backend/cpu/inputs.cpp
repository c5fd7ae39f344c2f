#include "backend/cpu/cpu_backend.h"

namespace chorus::cpu {

std::span<TokenInputs> CpuBackend::take_inputs(const float* x, int64_t tokens, const PanelFormat& f,
                                               bool rounded) {
  Arena& arena = workspace();
  auto* inputs = arena.array<TokenInputs>(tokens);
  const int64_t n = f.columns, blocks = rounded ? n / 32 : 0;
  auto* codes = rounded ? arena.array<int8_t>(tokens * n) : nullptr;
  auto* scales = arena.array<float>(tokens * blocks);
  auto* scaled_sums = arena.array<float>(tokens * blocks);
  auto* offsets = arena.array<int32_t>(tokens * blocks);
  if (arena.measuring()) return {};
  for (int64_t t = 0; t < tokens; ++t)
    inputs[t] = {.values = x + t * n,
                 .codes = rounded ? codes + t * n : nullptr,
                 .scales = scales + t * blocks,
                 .scaled_sums = scaled_sums + t * blocks,
                 .offsets = offsets + t * blocks};
  return {inputs, size_t(tokens)};
}

void CpuBackend::quantise(std::span<TokenInputs> inputs, const PanelFormat& f) {
  // The spans are const for the readers; this is the one writer.
  threads_.for_each(int64_t(inputs.size()), [&](int64_t t) {
    const TokenInputs& in = inputs[size_t(t)];
    kernels_.quantise(in.values, f.columns, const_cast<int8_t*>(in.codes), const_cast<float*>(in.scales),
                      const_cast<float*>(in.scaled_sums), const_cast<int32_t*>(in.offsets));
  });
}

}  // namespace chorus::cpu
