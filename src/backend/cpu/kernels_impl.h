#pragma once

// The inner loops, written once over the sixteen lanes of chorus::cpu::simd. Each kernels_*.cpp includes its simd_*.h,
// then this file, and is compiled for its instruction set; everything is in unnamed namespaces, so that no code of
// one instruction set is ever linked into another's place.
#include "backend/cpu/kernels_attention.h"
#include "backend/cpu/kernels_panels.h"
#include "backend/cpu/kernels_tokens.h"

namespace chorus::cpu {
namespace {

// What nothing but arithmetic limits: the roof.

int64_t spin_int8(int64_t rounds) {
  I sums[simd::independent_sums];
  for (I& sum : sums) sum = simd::set1(0);
  I w = simd::set1(0x01020304);
  const int8_t codes[block_columns] = {1, 1, 1, 1};
  for (int64_t i = 0; i < rounds; ++i) {
    simd::keep(w);
#pragma GCC unroll 16
    for (I& sum : sums) sum = simd::dot<true, 0>(sum, w, codes);
  }
  for (I& sum : sums) simd::keep(sum);
  return rounds * simd::independent_sums * panel_rows * 4;
}

int64_t spin_f32(int64_t rounds) {
  F sums[simd::independent_sums];
  for (F& sum : sums) sum = simd::set1(0.f);
  F w = simd::set1(1.f);
  for (int64_t i = 0; i < rounds; ++i) {
    simd::keep(w);
#pragma GCC unroll 16
    for (F& sum : sums) sum = simd::fma(w, w, sum);
  }
  for (F& sum : sums) simd::keep(sum);
  return rounds * simd::independent_sums * panel_rows;
}

Kernels make_kernels(std::string_view name) {
  return {.name = name,
          .panel_exact = panel_product<false>,
          .panel_fast = panel_product<true>,
          .quantise = quantise,
          .interleave = interleave,
          .rms_norm = rms_norm,
          .clamped_swiglu = clamped_swiglu,
          .attention_bf16 = attention<bf16>,
          .attention_f32 = attention<float>,
          .spin_int8 = spin_int8,
          .spin_f32 = spin_f32};
}

}  // namespace
}  // namespace chorus::cpu
