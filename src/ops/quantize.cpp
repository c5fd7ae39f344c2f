#include "ops/quantize.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "ops/dequantize.h"

namespace chorus {
namespace {

float rounded_to(DType dtype, float v) {
  return dispatch_float(dtype, [&]<typename T>(Type<T>) { return to_float(from_float<T>(v)); });
}

void store(DType dtype, float v, void* array, size_t i) {
  dispatch_float(dtype, [&]<typename T>(Type<T>) {
    const T value = from_float<T>(v);
    std::memcpy(static_cast<std::byte*>(array) + i * sizeof(T), &value, sizeof(T));
  });
}

void put_code(std::byte* codes, int bits, size_t column, uint32_t code) {
  const size_t first_bit = column * size_t(bits), shift = first_bit % 8;
  codes[first_bit / 8] |= std::byte(code << shift & 255);
  if (shift + size_t(bits) > 8) codes[first_bit / 8 + 1] |= std::byte(code >> (8 - shift));
}

}  // namespace

void quantize_affine_row(std::span<const float> row, int bits, int group_size, DType dtype, std::byte* codes,
                         void* scales, void* quant_biases) {
  assert(row.size() % size_t(group_size) == 0);
  std::memset(codes, 0, row.size() * size_t(bits) / 8);
  const float largest_code = float((1 << bits) - 1);
  constexpr float least_scale = 1e-7f;  // MLX's, for groups of equal values
  for (size_t begin = 0; begin < row.size(); begin += size_t(group_size)) {
    const std::span<const float> group = row.subspan(begin, size_t(group_size));
    const auto [low, high] = std::minmax_element(group.begin(), group.end());
    const bool down = std::abs(*low) > std::abs(*high);
    const float edge = down ? *low : *high;
    const float step = std::max((*high - *low) / largest_code, least_scale);
    // The codes count from the edge; then the step is bent so that zero is one of them.
    float scale = down ? step : -step, bias = 0;
    if (const float zero_code = std::rint(edge / scale); zero_code != 0) {
      scale = edge / zero_code;
      bias = edge;
    }
    for (size_t i = 0; i < group.size(); ++i) {
      const float code = std::clamp(std::rint((group[i] - bias) / scale), 0.f, largest_code);
      put_code(codes, bits, begin + i, uint32_t(code));
    }
    store(dtype, scale, scales, begin / size_t(group_size));
    store(dtype, bias, quant_biases, begin / size_t(group_size));
  }
}

void quantize_mxfp4_row(std::span<const float> row, DType dtype, std::byte* codes, uint8_t* scales) {
  constexpr size_t group_size = 32;
  constexpr float largest_e2m1 = 6;
  assert(row.size() % group_size == 0);
  std::memset(codes, 0, row.size() / 2);
  for (size_t begin = 0; begin < row.size(); begin += group_size) {
    const std::span<const float> group = row.subspan(begin, group_size);
    float largest = 0;
    for (const float v : group) largest = std::max(largest, std::abs(v));
    const float wanted = rounded_to(dtype, largest / largest_e2m1);
    const int exponent = wanted == 0 ? 0 : int(std::rint(rounded_to(dtype, std::log2(wanted))));
    scales[begin / group_size] = uint8_t(exponent + 127);
    for (size_t i = 0; i < group_size; ++i) {
      const float v = rounded_to(dtype, std::ldexp(group[i], -exponent));
      uint32_t nearest = 0;
      float least = INFINITY;
      for (uint32_t code = 0; code < 16; ++code)
        if (const float distance = std::abs(rounded_to(dtype, v - decode_e2m1(code))); distance < least) {
          least = distance;
          nearest = code;
        }
      put_code(codes, 4, begin + i, nearest);
    }
  }
}

}  // namespace chorus
