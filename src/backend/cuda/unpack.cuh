// From the codes of a panel's chunk, in shared memory, to the bf16 that the tensor cores take.
#pragma once

#include "backend/cuda/device.cuh"
#include "backend/cuda/instructions.cuh"

namespace chorus::cuda {

/// What the kernels of a matrix are compiled for. `general`: affine codes whose scales are f32, or of groups
/// of 32.
template <PanelKind kind_, bool general_>
struct Coded {
  static constexpr PanelKind kind = kind_;
  static constexpr bool general = general_;
  static constexpr bool affine = kind == PanelKind::affine4 || kind == PanelKind::affine8;
  static constexpr int code_bits = PanelFormat{.kind = kind}.code_bits();
  static constexpr int pieces = code_bits / 4;  ///< of 16 bytes a lane
  static constexpr int lane_scale_bytes = kind == PanelKind::mxfp4 ? 4 : !affine ? 0 : general ? 16 : 8;
  static constexpr int code_bytes = panel_rows / fragment_rows * pieces * 512;
  static constexpr int chunk_bytes = code_bytes + panel_rows / 2 * lane_scale_bytes;
};
template <typename F>
void dispatch_coded(const PanelFormat& f, F&& call) {
  dispatch_kind(f.kind, [&]<PanelKind kind>() {
    if constexpr (Coded<kind, false>::affine) {
      if (f.lane_scale_bytes() == 16) return call.template operator()<Coded<kind, true>>();
    }
    call.template operator()<Coded<kind, false>>();
  });
}

/// One lane's part of a chunk.
template <typename Coded>
struct Chunk {
  static constexpr PanelKind kind = Coded::kind;

  uint4 codes[Coded::pieces];
  uint32_t factors;    ///< mxfp4: a byte per group and row
  Scale scales[2][2];  ///< affine: of a half of the chunk, of rows lane / 4 and 8 more; the bias less scale * base

  /// `from`: where the chunk lies; rows 16 * warp and so on of the panel.
  __device__ void load(uint32_t from, int warp, const PanelFormat& f) {
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int p = 0; p < Coded::pieces; ++p)
      codes[p] = load_shared_16(from + (warp * Coded::pieces + p) * 512 + lane * 16);
    const uint32_t at = from + Coded::code_bytes + (warp * 8 + lane / 4) * Coded::lane_scale_bytes;
    if constexpr (kind == PanelKind::mxfp4) {
      factors = load_shared_4(at);
    } else if constexpr (Coded::affine && !Coded::general) {
      const uint2 pairs = load_shared_8(at);
      scales[0][0] = scales[1][0] = rebased(scale_of(pairs.x));
      scales[0][1] = scales[1][1] = rebased(scale_of(pairs.y));
    } else if constexpr (Coded::affine) {
      const uint4 v = load_shared_16(at);
      if (f.wide_scales) {
        scales[0][0] = scales[1][0] = rebased({__uint_as_float(v.x), __uint_as_float(v.y)});
        scales[0][1] = scales[1][1] = rebased({__uint_as_float(v.z), __uint_as_float(v.w)});
      } else {
        scales[0][0] = rebased(scale_of(v.x)), scales[0][1] = rebased(scale_of(v.y));
        scales[1][0] = rebased(scale_of(v.z)), scales[1][1] = rebased(scale_of(v.w));
      }
    }
  }

  /// Registers A of mma `m` of the chunk.
  __device__ void weights(int m, uint32_t (&a)[4]) const {
    if constexpr (kind == PanelKind::bf16) {
      a[0] = codes[m].x, a[1] = codes[m].y, a[2] = codes[m].z, a[3] = codes[m].w;
    } else if constexpr (kind == PanelKind::f32) {
      const uint4 low = codes[2 * m], high = codes[2 * m + 1];
      a[0] = bf16_pair(__uint_as_float(low.x), __uint_as_float(low.y));
      a[1] = bf16_pair(__uint_as_float(low.z), __uint_as_float(low.w));
      a[2] = bf16_pair(__uint_as_float(high.x), __uint_as_float(high.y));
      a[3] = bf16_pair(__uint_as_float(high.z), __uint_as_float(high.w));
    } else if constexpr (kind == PanelKind::mxfp4) {
      const uint32_t w = word(codes[0], m), pair = m < 2 ? factors : factors >> 16;
      const uint32_t low = (pair & 0xff) * 0x00800080u, high = (pair >> 8 & 0xff) * 0x00800080u;
      a[0] = scaled(w & 0x81c081c0u, low);
      a[1] = scaled((w << 3) & 0x81c081c0u, high);
      a[2] = scaled((w << 6) & 0x81c081c0u, low);
      a[3] = scaled(((w << 4) & 0x80008000u) | ((w >> 6) & 0x01800180u) | ((w >> 4) & 0x00400040u), high);
    } else {
      const Scale low = scales[m / 2][0], high = scales[m / 2][1];
      if constexpr (kind == PanelKind::affine8) {
        const uint32_t words[2] = {word(codes[m / 2], m % 2 * 2), word(codes[m / 2], m % 2 * 2 + 1)};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          a[2 * i] = bf16_pair(times(byte_of<0>(words[i]), low), times(byte_of<1>(words[i]), low));
          a[2 * i + 1] = bf16_pair(times(byte_of<2>(words[i]), high), times(byte_of<3>(words[i]), high));
        }
      } else {
        const uint32_t w = word(codes[0], m);
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          const Scale s = r % 2 == 0 ? low : high;
          a[r] = bf16_pair(times(base_bits | (w >> (4 * r) & 15) << 19, s),
                           times(base_bits | (w >> (16 + 4 * r) & 15) << 19, s));
        }
      }
    }
  }

 private:
  /// A float base + code is made by setting bits of its mantissa; scale * base is exact, and the bias less that is
  /// within a thousandth of a scale.
  static constexpr float base = kind == PanelKind::affine8 ? 0x1p15f : 0x1p4f;
  static constexpr uint32_t base_bits = kind == PanelKind::affine8 ? 0x47000000 : 0x41800000;

  __device__ static uint32_t word(const uint4& v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
  }
  __device__ static Scale rebased(Scale s) {
    return {s.scale, fmaf(s.scale, -base, s.bias)};
  }
  /// Bits in the places of a bf16's sign, lower exponent and upper mantissa are the code's value times 2^-126.
  __device__ static uint32_t scaled(uint32_t bits, uint32_t factor) {
    const __nv_bfloat162 product =
        __hmul2(reinterpret_cast<const __nv_bfloat162&>(bits), reinterpret_cast<const __nv_bfloat162&>(factor));
    return reinterpret_cast<const uint32_t&>(product);
  }
  /// The float base + byte i.
  template <int i>
  __device__ static uint32_t byte_of(uint32_t w) {
    return __byte_perm(w, base_bits, 0x7604 | i << 4);
  }
  __device__ static float times(uint32_t base_plus_code, const Scale& s) {
    return fmaf(__uint_as_float(base_plus_code), s.scale, s.bias);
  }
};

}  // namespace chorus::cuda
