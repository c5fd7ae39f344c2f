#pragma once

// Sixteen lanes in two registers: AVX2 and FMA.
#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <utility>

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

inline I broadcast(const int8_t* four_codes) {
  int32_t x;
  std::memcpy(&x, four_codes, sizeof x);
  return set1(x);
}
template <bool small>
inline I first_sum(int32_t offset, const int8_t*) {
  return set1(offset);
}

/// The products of unsigned bytes of at most 24, pairs of them summed in 16 bits: at most 2 * 24 * 127.
inline I small_pairs(I w, I x) {
  return {_mm256_maddubs_epi16(w.a, x.a), _mm256_maddubs_epi16(w.b, x.b)};
}
inline I add_16_bits(I x, I y) {
  return {_mm256_add_epi16(x.a, y.a), _mm256_add_epi16(x.b, y.b)};
}
inline I add_32_bits(I x, I y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
inline I widen_pairs(I x) {
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(x.a, ones), _mm256_madd_epi16(x.b, ones)};
}
/// Of bytes of any size, even and odd ones apart, as 16-bit numbers: maddubs would saturate.
inline __m256i any_dot(__m256i w, __m256i x) {
  const __m256i even_w = _mm256_and_si256(w, _mm256_set1_epi16(255)), odd_w = _mm256_srli_epi16(w, 8);
  const __m256i even_x = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8), odd_x = _mm256_srai_epi16(x, 8);
  return _mm256_add_epi32(_mm256_madd_epi16(even_w, even_x), _mm256_madd_epi16(odd_w, odd_x));
}
template <bool small, int four>
inline I dot(I acc, I w, const int8_t* codes) {
  const I x = broadcast(codes + 4 * four);
  if constexpr (small)
    return add_32_bits(acc, widen_pairs(small_pairs(w, x)));
  else
    return add_32_bits(acc, {any_dot(w.a, x.a), any_dot(w.b, x.b)});
}
/// A block's eight dots. Four pairs of small products, 4 * 6,096, still fit 16 bits.
template <bool small>
inline I dots(I acc, const I (&w)[8], const int8_t* codes) {
  if constexpr (small) {
    for (int first = 0; first < 8; first += 4) {
      I sum = small_pairs(w[first], broadcast(codes + 4 * first));
      for (int i = first + 1; i < first + 4; ++i)
        sum = add_16_bits(sum, small_pairs(w[i], broadcast(codes + 4 * i)));
      acc = add_32_bits(acc, widen_pairs(sum));
    }
    return acc;
  } else {
    return [&]<int... four>(std::integer_sequence<int, four...>) {
      ((acc = dot<small, four>(acc, w[four], codes)), ...);
      return acc;
    }
    (std::make_integer_sequence<int, 8>());
  }
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
