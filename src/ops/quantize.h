#pragma once

#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace chorus {

/// Floats into codes, bit for bit as MLX quantises. A row has a whole number of groups; `codes` gets its
/// row.size() * bits / 8 bytes, packed little-endian.

/// w ~ scale * q + quant_bias, per group: q of 0 .. 2^bits - 1 spans the group's range, and the end of the range
/// that lies further from zero is hit exactly. scales and quant_biases: one value of `dtype` per group.
void quantize_affine_row(std::span<const float> row, int bits, int group_size, DType dtype, std::byte* codes,
                         void* scales, void* quant_biases);

/// Groups of 32: the scale is the power of two nearest to (largest magnitude / 6) in the logarithm, each code the
/// E2M1 value nearest to w / scale (halfway: the smaller). `dtype` is the type that the row came from: MLX
/// computes in it, and where bf16 rounds to another scale or code, so does this.
void quantize_mxfp4_row(std::span<const float> row, DType dtype, std::byte* codes, uint8_t* scales);

}  // namespace chorus
