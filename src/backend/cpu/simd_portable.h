#pragma once

// Sixteen lanes in plain C++: what the compiler makes of them is the baseline of the architecture.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "tensor/dtype.h"

namespace chorus::cpu::simd {
namespace {

struct F {
  float v[16];
};
struct I {
  int32_t v[16];
};

template <typename Out, typename Fn>
inline Out lanes(Fn fn) {
  Out out;
  for (int i = 0; i < 16; ++i) out.v[i] = fn(i);
  return out;
}

/// Tokens for which a weight is unpacked once: as many as their sums find registers. Heads for which a key is.
constexpr int int8_tile = 4, float_tile = 4, head_tile = 8;
/// Enough to hide the latency of a multiply-add.
constexpr int independent_sums = 8;
/// Whether the sums of a tile stay in registers, or the weights of a block (kernels_impl.h, BlockSums).
constexpr bool keeps_sums = false;

// Has the compiler believe that x is needed and may have changed.
template <typename T>
inline void keep(T& x) {
  asm volatile("" : : "r"(&x) : "memory");
}

inline F load(const float* p) {
  F f;
  std::memcpy(&f, p, sizeof f);
  return f;
}
inline F load(const bf16* p) {
  return lanes<F>([&](int i) { return to_float(p[i]); });
}
inline void store(float* p, const F& f) {
  std::memcpy(p, &f, sizeof f);
}
inline F set1(float v) {
  return lanes<F>([&](int) { return v; });
}
inline F add(const F& a, const F& b) {
  return lanes<F>([&](int i) { return a.v[i] + b.v[i]; });
}
inline F mul(const F& a, const F& b) {
  return lanes<F>([&](int i) { return a.v[i] * b.v[i]; });
}
inline F div(const F& a, const F& b) {
  return lanes<F>([&](int i) { return a.v[i] / b.v[i]; });
}
inline F min(const F& a, const F& b) {
  return lanes<F>([&](int i) { return std::min(a.v[i], b.v[i]); });
}
inline F max(const F& a, const F& b) {
  return lanes<F>([&](int i) { return std::max(a.v[i], b.v[i]); });
}
inline F fma(const F& a, const F& b, const F& c) {
  return lanes<F>([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
inline F to_floats(const I& a) {
  return lanes<F>([&](int i) { return float(a.v[i]); });
}
inline I to_nearest(const F& a) {
  return lanes<I>([&](int i) { return int32_t(std::nearbyintf(a.v[i])); });
}
/// f * 2^n, n such that the result is normal.
inline F scale_by_power(const F& f, const I& n) {
  return lanes<F>([&](int i) { return std::bit_cast<float>(std::bit_cast<int32_t>(f.v[i]) + (n.v[i] << 23)); });
}

inline I load_ints(const void* p) {
  I a;
  std::memcpy(&a, p, sizeof a);
  return a;
}
inline I set1(int32_t v) {
  return lanes<I>([&](int) { return v; });
}
inline I nibbles_low(const I& a) {
  return lanes<I>([&](int i) { return a.v[i] & 0x0f0f0f0f; });
}
inline I nibbles_high(const I& a) {
  return lanes<I>([&](int i) { return a.v[i] >> 4 & 0x0f0f0f0f; });
}
inline I bits_and(const I& a, uint32_t mask) {
  return lanes<I>([&](int i) { return int32_t(uint32_t(a.v[i]) & mask); });
}
inline I bits_or(const I& a, const I& b) {
  return lanes<I>([&](int i) { return a.v[i] | b.v[i]; });
}
template <int n>
inline I shift_left(const I& a) {
  return lanes<I>([&](int i) { return int32_t(uint32_t(a.v[i]) << n); });
}
template <int n>
inline I shift_right(const I& a) {
  return lanes<I>([&](int i) { return int32_t(uint32_t(a.v[i]) >> n); });
}
/// out[w] = word first + w of the sixteen rows, for w < n.
inline void transpose(const std::byte* const* rows, int64_t first, int64_t n, I (&out)[16]) {
  for (int r = 0; r < 16; ++r)
    for (int64_t w = 0; w < n; ++w)
      std::memcpy(reinterpret_cast<char*>(&out[w]) + 4 * r, rows[r] + (first + w) * 4, 4);
}
/// Byte `n` of every lane, as an integer.
template <int n>
inline I byte_of(const I& a) {
  return lanes<I>([&](int i) { return a.v[i] >> (8 * n) & 0xff; });
}

constexpr float fp4_values[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
constexpr uint8_t fp4_units[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

inline F fp4_to_floats(const I& codes) {
  return lanes<F>([&](int i) { return fp4_values[codes.v[i]]; });
}
/// Four codes a lane -> four bytes of half-units + 12.
inline I fp4_to_units(const I& codes) {
  I out;
  for (int i = 0; i < 16; ++i) {
    uint32_t word = 0;
    for (int c = 0; c < 4; ++c) word |= uint32_t(fp4_units[codes.v[i] >> (8 * c) & 15]) << (8 * c);
    out.v[i] = int32_t(word);
  }
  return out;
}
/// 16 E8M0 bytes; 0 means 2^-127, a subnormal.
inline F e8m0(const uint8_t* p) {
  return lanes<F>(
      [&](int i) { return std::bit_cast<float>(std::max<uint32_t>(uint32_t(p[i]) << 23, 0x00400000)); });
}
/// What the eight dots of a block begin with.
template <bool small>
inline I first_sum(int32_t offset, const int8_t*) {
  return set1(offset);
}
/// acc + sum of the four products of a lane's unsigned bytes and codes 4 * four .. 4 * four + 3 of a block's 32.
/// `small`: bytes of w are at most 24.
template <bool small, int four>
inline I dot(const I& acc, const I& w, const int8_t* codes) {
  return lanes<I>([&](int i) {
    int32_t sum = acc.v[i];
    for (int c = 0; c < 4; ++c) sum += (w.v[i] >> (8 * c) & 0xff) * codes[4 * four + c];
    return sum;
  });
}
/// A block's eight dots.
template <bool small>
inline I dots(const I& acc, const I (&w)[8], const int8_t* codes) {
  return [&]<int... four>(std::integer_sequence<int, four...>) {
    I sum = acc;
    ((sum = dot<small, four>(sum, w[four], codes)), ...);
    return sum;
  }(std::make_integer_sequence<int, 8>());
}
inline float sum(const F& f) {
  float s[8];
  for (int i = 0; i < 8; ++i) s[i] = f.v[i] + f.v[i + 8];
  for (int i = 0; i < 4; ++i) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}
inline float max_of(const F& f) {
  return *std::max_element(f.v, f.v + 16);
}

}  // namespace
}  // namespace chorus::cpu::simd
