#pragma once

// Sixteen lanes in one register: AVX-512 F, BW, VL, VNNI.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "tensor/dtype.h"

namespace chorus::cpu::simd {
namespace {

using F = __m512;
using I = __m512i;

constexpr int int8_tile = 8, float_tile = 8, head_tile = 8, independent_sums = 16;
constexpr bool keeps_sums = false;

// Has the compiler believe that x is needed and may have changed.
template <typename T>
inline void keep(T& x) {
  asm volatile("" : "+v"(x));
}

inline F load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline F load(const bf16* p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
}
inline void store(float* p, F f) {
  _mm512_storeu_ps(p, f);
}
inline F set1(float v) {
  return _mm512_set1_ps(v);
}
inline F add(F a, F b) {
  return _mm512_add_ps(a, b);
}
inline F mul(F a, F b) {
  return _mm512_mul_ps(a, b);
}
inline F div(F a, F b) {
  return _mm512_div_ps(a, b);
}
inline F min(F a, F b) {
  return _mm512_min_ps(a, b);
}
inline F max(F a, F b) {
  return _mm512_max_ps(a, b);
}
inline F fma(F a, F b, F c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline F to_floats(I a) {
  return _mm512_cvtepi32_ps(a);
}
inline I to_nearest(F a) {
  return _mm512_cvtps_epi32(a);
}
inline F scale_by_power(F f, I n) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(f), _mm512_slli_epi32(n, 23)));
}

inline I load_ints(const void* p) {
  return _mm512_loadu_si512(p);
}
inline void store_ints(void* p, I a) {
  _mm512_storeu_si512(p, a);
}
inline I set1(int32_t v) {
  return _mm512_set1_epi32(v);
}
inline I nibbles_low(I a) {
  return _mm512_and_si512(a, _mm512_set1_epi8(15));
}
inline I nibbles_high(I a) {
  return _mm512_and_si512(_mm512_srli_epi16(a, 4), _mm512_set1_epi8(15));
}
inline I bits_and(I a, uint32_t mask) {
  return _mm512_and_si512(a, _mm512_set1_epi32(int32_t(mask)));
}
inline I bits_or(I a, I b) {
  return _mm512_or_si512(a, b);
}
template <int n>
inline I shift_left(I a) {
  return _mm512_slli_epi32(a, n);
}
template <int n>
inline I shift_right(I a) {
  return _mm512_srli_epi32(a, n);
}

/// out[w] = word first + w of the sixteen rows, for w < n: a 16 x 16 transpose by pairs of words, pairs of pairs,
/// then quarters of registers.
inline void transpose(const std::byte* const* rows, int64_t first, int64_t n, I (&out)[16]) {
  const auto mask = __mmask16((1u << n) - 1);
  I a[16], b[16];
  for (int r = 0; r < 16; ++r) a[r] = _mm512_maskz_loadu_epi32(mask, rows[r] + first * 4);
  for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 2; ++j) {
      a[4 * i + 2 * j] = _mm512_unpacklo_epi64(b[4 * i + j], b[4 * i + 2 + j]);
      a[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(b[4 * i + j], b[4 * i + 2 + j]);
    }
  // a[4 * i + w] now has, per quarter q, word 4 * q + w of rows 4 * i .. 4 * i + 3.
  for (int w = 0; w < 4; ++w) {
    const I even_low = _mm512_shuffle_i32x4(a[w], a[4 + w], 0x88),
            even_high = _mm512_shuffle_i32x4(a[8 + w], a[12 + w], 0x88);
    const I odd_low = _mm512_shuffle_i32x4(a[w], a[4 + w], 0xdd),
            odd_high = _mm512_shuffle_i32x4(a[8 + w], a[12 + w], 0xdd);
    out[w] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    out[8 + w] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    out[4 + w] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    out[12 + w] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
}
template <int n>
inline I byte_of(I a) {
  return _mm512_and_si512(_mm512_srli_epi32(a, 8 * n), _mm512_set1_epi32(255));
}

inline F fp4_to_floats(I codes) {
  const F table = _mm512_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.f, -0.5f, -1, -1.5f, -2, -3, -4, -6);
  return _mm512_permutexvar_ps(codes, table);
}
inline I fp4_to_units(I codes) {
  const I table = _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  return _mm512_shuffle_epi8(table, codes);
}
/// Without the +12, for products of signed bytes.
inline I fp4_to_signed_units(I codes) {
  const I table =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12));
  return _mm512_shuffle_epi8(table, codes);
}
inline F e8m0(const uint8_t* p) {
  const I bits = _mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 23);
  return _mm512_castsi512_ps(_mm512_max_epu32(bits, _mm512_set1_epi32(0x00400000)));
}
template <bool small>
inline I first_sum(int32_t offset, const int8_t*) {
  return set1(offset);
}
template <bool small, int four>
inline I dot(I acc, I w, const int8_t* codes) {
  int32_t x;
  std::memcpy(&x, codes + 4 * four, sizeof x);
  return _mm512_dpbusd_epi32(acc, w, _mm512_set1_epi32(x));
}
/// A block's eight dots.
template <bool small>
inline I dots(I acc, const I (&w)[8], const int8_t* codes) {
  return [&]<int... four>(std::integer_sequence<int, four...>) {
    I sum = acc;
    ((sum = dot<small, four>(sum, w[four], codes)), ...);
    return sum;
  }(std::make_integer_sequence<int, 8>());
}

inline float sum(F f) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(f), _mm512_extractf32x8_ps(f, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float max_of(F f) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(f), _mm512_extractf32x8_ps(f, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace
}  // namespace chorus::cpu::simd
