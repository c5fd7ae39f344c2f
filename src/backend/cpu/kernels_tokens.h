#pragma once

// Part of kernels_impl.h: exponentials, and what happens to a token between the matrices.
#include <cmath>
#include <cstring>

#include "backend/cpu/kernels.h"
#include "backend/cpu/kernels_reading.h"

namespace chorus::cpu {
namespace {

/// e^x: 2^n times a polynomial in the rest (|rest| <= ln2 / 2). Relative error under 2e-7; 0 below -87.3.
F exp(F x) {
  x = simd::max(simd::min(x, simd::set1(88.f)), simd::set1(-87.3f));
  const I n = simd::to_nearest(simd::mul(x, simd::set1(1.44269504f)));
  const F nf = simd::to_floats(n);
  F r = simd::fma(nf, simd::set1(-0.693359375f), x);  // ln2 in two parts: the first times n is exact
  r = simd::fma(nf, simd::set1(2.12194440e-4f), r);
  F p = simd::set1(1.98412698e-4f);
  for (const float c : {1.38888889e-3f, 8.33333333e-3f, 4.16666667e-2f, 1.66666667e-1f, 0.5f, 1.f, 1.f})
    p = simd::fma(p, r, simd::set1(c));
  return simd::scale_by_power(p, n);
}

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  F squares = simd::set1(0.f);
  float tail = 0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F v = simd::load(x + i);
    squares = simd::fma(v, v, squares);
  }
  for (int64_t j = i; j < n; ++j) tail += x[j] * x[j];
  const float scale = 1 / std::sqrt((simd::sum(squares) + tail) / float(n) + eps);
  for (i = 0; i + 16 <= n; i += 16)
    simd::store(out + i, simd::mul(simd::mul(simd::load(x + i), simd::set1(scale)), simd::load(weight + i)));
  for (; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

/// n a multiple of 16.
void clamped_swiglu(const float* gate, const float* up, int64_t n, float alpha, float limit, float* out) {
  const F one = simd::set1(1.f);
  for (int64_t i = 0; i < n; i += 16) {
    const F g = simd::min(simd::load(gate + i), simd::set1(limit));
    const F u = simd::max(simd::min(simd::load(up + i), simd::set1(limit)), simd::set1(-limit));
    const F sigmoid = simd::div(one, simd::add(one, exp(simd::mul(g, simd::set1(-alpha)))));
    simd::store(out + i, simd::mul(simd::mul(g, sigmoid), simd::add(u, one)));
  }
}

}  // namespace
}  // namespace chorus::cpu
