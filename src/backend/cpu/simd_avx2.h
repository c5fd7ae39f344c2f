#pragma once

// Sixteen lanes in two registers: AVX2 and FMA.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace chorus::cpu::simd {
namespace {

struct F {
  __m256 a, b;
};
struct I {
  __m256i a, b;
};

constexpr int int8_tile = 4, float_tile = 4, head_tile = 8, independent_sums = 8;
constexpr bool keeps_sums = false;

// Has the compiler believe that x is needed and may have changed.
template <typename T>
inline void keep(T& x) {
  asm volatile("" : "+x"(x.a), "+x"(x.b));
}

inline F load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline __m256 widen(const bf16* p) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
}
inline F load(const bf16* p) {
  return {widen(p), widen(p + 8)};
}
inline void store(float* p, F f) {
  _mm256_storeu_ps(p, f.a);
  _mm256_storeu_ps(p + 8, f.b);
}
inline F set1(float v) {
  return {_mm256_set1_ps(v), _mm256_set1_ps(v)};
}
inline F add(F x, F y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
inline F mul(F x, F y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
inline F div(F x, F y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
inline F min(F x, F y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
inline F max(F x, F y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
inline F fma(F x, F y, F z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline F to_floats(I x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
inline I to_nearest(F x) {
  return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)};
}
inline F scale_by_power(F f, I n) {
  return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(f.a), _mm256_slli_epi32(n.a, 23))),
          _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(f.b), _mm256_slli_epi32(n.b, 23)))};
}

inline I load_ints(const void* p) {
  const auto* q = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
inline I set1(int32_t v) {
  return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)};
}
inline I both(I x, __m256i mask) {
  return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
inline I nibbles_low(I x) {
  return both(x, _mm256_set1_epi8(15));
}
inline I nibbles_high(I x) {
  return both({_mm256_srli_epi16(x.a, 4), _mm256_srli_epi16(x.b, 4)}, _mm256_set1_epi8(15));
}
inline I bits_and(I x, uint32_t mask) {
  return both(x, _mm256_set1_epi32(int32_t(mask)));
}
inline I bits_or(I x, I y) {
  return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}
template <int n>
inline I shift_left(I x) {
  return {_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}
template <int n>
inline I shift_right(I x) {
  return {_mm256_srli_epi32(x.a, n), _mm256_srli_epi32(x.b, n)};
}
/// out[w] = word first + w of the sixteen rows, for w < n.
inline void transpose(const std::byte* const* rows, int64_t first, int64_t n, I (&out)[16]) {
  for (int r = 0; r < 16; ++r)
    for (int64_t w = 0; w < n; ++w)
      std::memcpy(reinterpret_cast<char*>(&out[w]) + 4 * r, rows[r] + (first + w) * 4, 4);
}
template <int n>
inline I byte_of(I x) {
  return both({_mm256_srli_epi32(x.a, 8 * n), _mm256_srli_epi32(x.b, 8 * n)}, _mm256_set1_epi32(255));
}

inline __m256 fp4_to_floats(__m256i codes) {
  const __m256 table = _mm256_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6);
  const __m256i sign = _mm256_slli_epi32(_mm256_srli_epi32(codes, 3), 31);
  return _mm256_xor_ps(_mm256_permutevar8x32_ps(table, codes), _mm256_castsi256_ps(sign));
}
inline F fp4_to_floats(I codes) {
  return {fp4_to_floats(codes.a), fp4_to_floats(codes.b)};
}
inline I fp4_to_units(I codes) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  return {_mm256_shuffle_epi8(table, codes.a), _mm256_shuffle_epi8(table, codes.b)};
}
inline __m256 e8m0_half(const uint8_t* p) {
  const __m256i bits =
      _mm256_slli_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))), 23);
  return _mm256_castsi256_ps(_mm256_max_epu32(bits, _mm256_set1_epi32(0x00400000)));
}
inline F e8m0(const uint8_t* p) {
  return {e8m0_half(p), e8m0_half(p + 8)};
}

template <bool small>
inline __m256i dot_half(__m256i acc, __m256i w, __m256i x) {
  if constexpr (small) {  // two products of at most 24 * 127 fit 16 bits
    const __m256i pairs = _mm256_maddubs_epi16(w, x);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  } else {  // even and odd bytes apart, as 16-bit numbers: maddubs would saturate
    const __m256i even_w = _mm256_and_si256(w, _mm256_set1_epi16(255)), odd_w = _mm256_srli_epi16(w, 8);
    const __m256i even_x = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8), odd_x = _mm256_srai_epi16(x, 8);
    return _mm256_add_epi32(acc,
                            _mm256_add_epi32(_mm256_madd_epi16(even_w, even_x), _mm256_madd_epi16(odd_w, odd_x)));
  }
}
template <bool small>
inline I first_sum(int32_t offset, const int8_t*) {
  return set1(offset);
}
template <bool small, int four>
inline I dot(I acc, I w, const int8_t* codes) {
  int32_t x;
  std::memcpy(&x, codes + 4 * four, sizeof x);
  const __m256i xs = _mm256_set1_epi32(x);
  return {dot_half<small>(acc.a, w.a, xs), dot_half<small>(acc.b, w.b, xs)};
}

inline float sum(F f) {
  const __m256 eight = _mm256_add_ps(f.a, f.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float max_of(F f) {
  const __m256 eight = _mm256_max_ps(f.a, f.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace
}  // namespace chorus::cpu::simd
