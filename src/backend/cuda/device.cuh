// What several kernels share. Compiled with -fmad=false: a multiply-add is fused only where fmaf says so.
#pragma once

#include <cuda_bf16.h>

#include "backend/cuda/cuda_backend.h"

namespace chorus::cuda {

constexpr unsigned all_lanes = 0xffffffffu;

__device__ inline float bf16_value(uint32_t bits) {
  return __uint_as_float(bits << 16);
}
__device__ inline uint16_t bf16_bits(float v) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(v));
}
/// For kernels that are launched with Grid::overlap: returns when all that ran before is done and can be read.
__device__ inline void wait_for_inputs() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}
/// Says that this block is far enough for the next kernel to start beside it; optional. The next one still waits in
/// wait_for_inputs() for the whole of this one.
__device__ inline void let_next_start() {
  asm volatile("griddepcontrol.launch_dependents;");
}

/// Two values as one register of an mma: the first in the low half.
__device__ inline uint32_t bf16_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(pair);
}

/// Where results go in f32 or bf16, as the tensor has them.
struct FloatOut {
  explicit FloatOut(const Tensor& t) : data(t.raw()), bf16(t.dtype() == DType::bf16) {}

  __device__ void put(int64_t at, float v) const {
    if (bf16)
      static_cast<uint16_t*>(data)[at] = bf16_bits(v);
    else
      static_cast<float*>(data)[at] = v;
  }
  __device__ void put(int64_t at, const float4& v) const {  // at: a multiple of 4
    if (bf16)
      *reinterpret_cast<uint2*>(static_cast<uint16_t*>(data) + at) = {bf16_pair(v.x, v.y), bf16_pair(v.z, v.w)};
    else
      *reinterpret_cast<float4*>(static_cast<float*>(data) + at) = v;
  }

  void* data;
  bool bf16;
};

__device__ inline float warp_sum(float v) {
  for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(all_lanes, v, d);
  return v;
}
__device__ inline float warp_max(float v) {
  for (int d = 16; d > 0; d /= 2) v = fmaxf(v, __shfl_xor_sync(all_lanes, v, d));
  return v;
}

/// w = scale * code + bias; bias is 0 but for affine codes.
struct Scale {
  float scale, bias;
};
/// From a panel's affine scale and bias of bf16.
template <PanelKind kind>
__device__ inline Scale scale_of(uint32_t pair) {
  constexpr float rest = kind == PanelKind::affine4 ? 0x1p-29f : 0x1p-33f;  // of the shift, which no float holds
  return {bf16_value(pair & 0xffff) * 0x1p-100f * rest, __uint_as_float(pair & 0xffff0000)};
}

/// One weight by the formulas of panel_format.h: for what reads few.
template <PanelKind kind>
__device__ inline float weight_at(const std::byte* panel, const PanelFormat& f, int row, int64_t column) {
  const std::byte* at = panel + f.code_at(row, column);
  if constexpr (kind == PanelKind::bf16) return bf16_value(*reinterpret_cast<const uint16_t*>(at));
  if constexpr (kind == PanelKind::f32) return *reinterpret_cast<const float*>(at);
  const std::byte* scale = panel + f.scale_at(row, column);
  if constexpr (kind == PanelKind::mxfp4) {
    const uint32_t code = f.from_word(row, column, *reinterpret_cast<const uint32_t*>(at));
    return bf16_value((code >> 3) << 15 | (code & 7) << 6) * bf16_value(uint32_t(*scale) << 7);
  }
  const Scale s = f.wide_scales ? Scale{reinterpret_cast<const float2*>(scale)->x, reinterpret_cast<const float2*>(scale)->y}
                                : scale_of<kind>(*reinterpret_cast<const uint32_t*>(scale));
  const uint32_t code = kind == PanelKind::affine8
                            ? uint32_t(*at)
                            : f.from_word(row, column, *reinterpret_cast<const uint32_t*>(at));
  return float(code) * s.scale + s.bias;
}

/// Calls f.operator()<kind>() for a format's kind.
template <typename F>
void dispatch_kind(PanelKind kind, F&& f) {
  switch (kind) {
    case PanelKind::mxfp4:
      return f.template operator()<PanelKind::mxfp4>();
    case PanelKind::affine4:
      return f.template operator()<PanelKind::affine4>();
    case PanelKind::affine8:
      return f.template operator()<PanelKind::affine8>();
    case PanelKind::bf16:
      return f.template operator()<PanelKind::bf16>();
    case PanelKind::f32:
      return f.template operator()<PanelKind::f32>();
  }
}

}  // namespace chorus::cuda
