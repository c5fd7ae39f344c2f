#pragma once

// Sixteen lanes in four registers: NEON with dot products (ARMv8.2), and with i8mm where the build says so.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace chorus::cpu::simd {
namespace {

struct F {
  float32x4_t v[4];
};
struct I {
  int32x4_t v[4];
};

/// op of each quarter of the operands.
template <typename Out, typename Op, typename... X>
inline Out quarters(Op op, const X&... x) {
  return {{op(x.v[0]...), op(x.v[1]...), op(x.v[2]...), op(x.v[3]...)}};
}

constexpr int int8_tile = 4, float_tile = 6, head_tile = 4, independent_sums = 6;
constexpr bool keeps_sums = true;

// Has the compiler believe that x is needed and may have changed.
template <typename T>
inline void keep(T& x) {
  asm volatile("" : "+w"(x.v[0]), "+w"(x.v[1]), "+w"(x.v[2]), "+w"(x.v[3]));
}

inline F load(const float* p) {
  return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}
inline F load(const bf16* p) {
  const auto* bits = reinterpret_cast<const uint16_t*>(p);
  const uint16x8_t lo = vld1q_u16(bits), hi = vld1q_u16(bits + 8);
  return {
      {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(lo), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(lo, 16)),
       vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(hi), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(hi, 16))}};
}
inline void store(float* p, const F& f) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, f.v[i]);
}
inline F set1(float v) {
  const float32x4_t four = vdupq_n_f32(v);
  return {{four, four, four, four}};
}
inline F add(const F& x, const F& y) {
  return quarters<F>([](float32x4_t a, float32x4_t b) { return vaddq_f32(a, b); }, x, y);
}
inline F mul(const F& x, const F& y) {
  return quarters<F>([](float32x4_t a, float32x4_t b) { return vmulq_f32(a, b); }, x, y);
}
inline F div(const F& x, const F& y) {
  return quarters<F>([](float32x4_t a, float32x4_t b) { return vdivq_f32(a, b); }, x, y);
}
inline F min(const F& x, const F& y) {
  return quarters<F>([](float32x4_t a, float32x4_t b) { return vminq_f32(a, b); }, x, y);
}
inline F max(const F& x, const F& y) {
  return quarters<F>([](float32x4_t a, float32x4_t b) { return vmaxq_f32(a, b); }, x, y);
}
inline F fma(const F& x, const F& y, const F& z) {
  return quarters<F>([](float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }, x, y, z);
}
inline F to_floats(const I& x) {
  return quarters<F>([](int32x4_t a) { return vcvtq_f32_s32(a); }, x);
}
inline I to_nearest(const F& x) {
  return quarters<I>([](float32x4_t a) { return vcvtnq_s32_f32(a); }, x);
}
/// f * 2^n, n such that the result is normal.
inline F scale_by_power(const F& f, const I& n) {
  return quarters<F>(
      [](float32x4_t a, int32x4_t b) {
        return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vshlq_n_s32(b, 23)));
      },
      f, n);
}

inline int32x4_t load_four(const std::byte* p) {  // p needs no alignment
  return vreinterpretq_s32_u8(vld1q_u8(reinterpret_cast<const uint8_t*>(p)));
}
inline I load_ints(const void* p) {
  const auto* at = static_cast<const std::byte*>(p);
  return {{load_four(at), load_four(at + 16), load_four(at + 32), load_four(at + 48)}};
}
inline I set1(int32_t v) {
  const int32x4_t four = vdupq_n_s32(v);
  return {{four, four, four, four}};
}
inline I nibbles_low(const I& x) {
  return quarters<I>([](int32x4_t a) { return vandq_s32(a, vdupq_n_s32(0x0f0f0f0f)); }, x);
}
inline I nibbles_high(const I& x) {
  return quarters<I>([](int32x4_t a) { return vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(a), 4)); }, x);
}
inline I bits_and(const I& x, uint32_t mask) {
  return quarters<I>([mask](int32x4_t a) { return vandq_s32(a, vdupq_n_s32(int32_t(mask))); }, x);
}
inline I bits_or(const I& x, const I& y) {
  return quarters<I>([](int32x4_t a, int32x4_t b) { return vorrq_s32(a, b); }, x, y);
}
template <int n>
inline I shift_left(const I& x) {
  return quarters<I>([](int32x4_t a) { return vshlq_n_s32(a, n); }, x);
}
template <int n>
inline int32x4_t shift_right(int32x4_t x) {
  if constexpr (n == 0)
    return x;
  else
    return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(x), n));
}
template <int n>
inline I shift_right(const I& x) {
  return quarters<I>([](int32x4_t a) { return shift_right<n>(a); }, x);
}
/// Byte `n` of every lane, as an integer.
template <int n>
inline I byte_of(const I& x) {
  return quarters<I>([](int32x4_t a) { return vandq_s32(shift_right<8 * n>(a), vdupq_n_s32(255)); }, x);
}

/// out[w] = word first + w of the sixteen rows, for w < n: 4 x 4 transposes by pairs of words, then pairs of
/// pairs.
inline void transpose(const std::byte* const* rows, int64_t first, int64_t n, I (&out)[16]) {
  int64_t w = 0;
  for (; w + 4 <= n; w += 4)
    for (int q = 0; q < 4; ++q) {
      const std::byte* const* four = rows + 4 * q;
      const int64_t at = (first + w) * 4;
      const int32x4_t a = load_four(four[0] + at), b = load_four(four[1] + at), c = load_four(four[2] + at),
                      d = load_four(four[3] + at);
      const int64x2_t ab_even = vreinterpretq_s64_s32(vtrn1q_s32(a, b)),
                      ab_odd = vreinterpretq_s64_s32(vtrn2q_s32(a, b)),
                      cd_even = vreinterpretq_s64_s32(vtrn1q_s32(c, d)),
                      cd_odd = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
      out[w].v[q] = vreinterpretq_s32_s64(vtrn1q_s64(ab_even, cd_even));
      out[w + 1].v[q] = vreinterpretq_s32_s64(vtrn1q_s64(ab_odd, cd_odd));
      out[w + 2].v[q] = vreinterpretq_s32_s64(vtrn2q_s64(ab_even, cd_even));
      out[w + 3].v[q] = vreinterpretq_s32_s64(vtrn2q_s64(ab_odd, cd_odd));
    }
  for (; w < n; ++w)
    for (int r = 0; r < 16; ++r)
      std::memcpy(reinterpret_cast<char*>(&out[w]) + 4 * r, rows[r] + (first + w) * 4, 4);
}

inline int32x4_t look_up(uint8x16_t table, int32x4_t bytes) {
  return vreinterpretq_s32_u8(vqtbl1q_u8(table, vreinterpretq_u8_s32(bytes)));
}
/// An E2M1 number as float has zeros but for its upper two bytes: one table for each. Code 0 is 0 in both, so the
/// other three bytes of a lane give zeros.
inline F fp4_to_floats(const I& codes) {
  constexpr uint8_t upper[16] = {0,    0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40,
                                 0x80, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0};
  constexpr uint8_t lower[16] = {0, 0, 0x80, 0xc0, 0, 0x40, 0x80, 0xc0, 0, 0, 0x80, 0xc0, 0, 0x40, 0x80, 0xc0};
  const uint8x16_t uppers = vld1q_u8(upper), lowers = vld1q_u8(lower);
  return quarters<F>(
      [&](int32x4_t a) {
        return vreinterpretq_f32_s32(vsliq_n_s32(vshlq_n_s32(look_up(lowers, a), 16), look_up(uppers, a), 24));
      },
      codes);
}
/// Four codes a lane -> four bytes of half-units + 12.
inline I fp4_to_units(const I& codes) {
  constexpr uint8_t units[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
  const uint8x16_t table = vld1q_u8(units);
  return quarters<I>([&](int32x4_t a) { return look_up(table, a); }, codes);
}
/// 16 E8M0 bytes; 0 means 2^-127, a subnormal. In bf16 first, where a register holds eight.
inline F e8m0(const uint8_t* p) {
  const uint8x16_t exponents = vld1q_u8(p);
  const uint16x8_t least = vdupq_n_u16(0x0040);
  const uint16x8_t lo = vmaxq_u16(vshll_n_u8(vget_low_u8(exponents), 7), least),
                   hi = vmaxq_u16(vshll_high_n_u8(exponents, 7), least);
  return {
      {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(lo), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(lo, 16)),
       vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(hi), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(hi, 16))}};
}

// A vusdot takes unsigned and signed bytes as they are. A vdot wants signed ones: FP4 units are the same as signed
// bytes, other weights lose 128, for which the first sum has 128 * the sum of the codes.
#if defined(__ARM_FEATURE_MATMUL_INT8)
template <bool small>
inline I first_sum(int32_t offset, const int8_t*) {
  return set1(offset);
}
template <int lane>
inline int32x4_t dot(int32x4_t acc, int32x4_t w, int8x16_t codes) {
  return vusdotq_laneq_s32(acc, vreinterpretq_u8_s32(w), codes, lane);
}
template <bool small>
inline int32x4_t operand(int32x4_t w) {
  return w;
}
#else
template <bool small>
inline I first_sum(int32_t offset, const int8_t* codes) {
  if constexpr (small) return set1(offset);
  const int8x16_t ones = vdupq_n_s8(1);
  const int32x4_t sums = vdotq_s32(vdotq_s32(vdupq_n_s32(0), vld1q_s8(codes), ones), vld1q_s8(codes + 16), ones);
  return set1(offset + 128 * vaddvq_s32(sums));
}
template <int lane>
inline int32x4_t dot(int32x4_t acc, int32x4_t w, int8x16_t codes) {
  return vdotq_laneq_s32(acc, vreinterpretq_s8_s32(w), codes, lane);
}
template <bool small>
inline int32x4_t operand(int32x4_t w) {
  return small ? w : veorq_s32(w, vdupq_n_s32(int32_t(0x80808080)));
}
#endif
/// acc + sum of the four products of a lane's unsigned bytes and codes 4 * four .. 4 * four + 3 of a block's 32.
/// `small`: bytes of w are at most 24.
template <bool small, int four>
inline I dot(const I& acc, const I& w, const int8_t* codes) {
  const int8x16_t sixteen = vld1q_s8(codes + four / 4 * 16);
  return quarters<I>([&](int32x4_t a, int32x4_t b) { return dot<four % 4>(a, operand<small>(b), sixteen); }, acc,
                     w);
}

/// A block's eight dots: not asked for where keeps_sums is true.
template <bool small>
I dots(I acc, const I (&w)[8], const int8_t* codes);

// In the order of the other instruction sets.
inline float sum(const F& f) {
  const float32x4_t four = vaddq_f32(vaddq_f32(f.v[0], f.v[2]), vaddq_f32(f.v[1], f.v[3]));
  return vaddv_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
}
inline float max_of(const F& f) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(f.v[0], f.v[1]), vmaxq_f32(f.v[2], f.v[3])));
}

}  // namespace
}  // namespace chorus::cpu::simd
