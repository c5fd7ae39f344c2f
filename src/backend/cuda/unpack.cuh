// From the codes of a panel's chunk, in shared memory, to the bf16 that the tensor cores take.
#pragma once

#include "backend/cuda/device.cuh"
#include "backend/cuda/instructions.cuh"

namespace chorus::cuda {

/// What the kernels of a matrix are compiled for. Affine codes: `wide_`, their scales are f32; `halves_`, a chunk
/// has two groups.
template <PanelKind kind_, bool wide_ = false, int halves_ = 1>
struct Coded {
  static constexpr PanelKind kind = kind_;
  static constexpr bool affine = kind == PanelKind::affine4 || kind == PanelKind::affine8;
  static constexpr bool wide = affine && wide_;
  static constexpr int halves = halves_;
  static constexpr int code_bits = PanelFormat{.kind = kind}.code_bits();
  static constexpr int pieces = code_bits / 4;  ///< of 16 bytes a lane
  static constexpr int lane_scale_bytes = kind == PanelKind::mxfp4 ? 4 : !affine ? 0 : wide ? 16 : 8 * halves;
  static constexpr int code_bytes = panel_rows / fragment_rows * pieces * 512;
  static constexpr int chunk_bytes = code_bytes + panel_rows / 2 * lane_scale_bytes;
};
template <typename F>
void dispatch_coded(const PanelFormat& f, F&& call) {
  dispatch_kind(f.kind, [&]<PanelKind kind>() {
    if constexpr (Coded<kind>::affine) {
      if (f.wide_scales) return call.template operator()<Coded<kind, true>>();
      if (f.chunk_groups() == 2) return call.template operator()<Coded<kind, false, 2>>();
    }
    call.template operator()<Coded<kind>>();
  });
}

/// One lane's part of a chunk.
template <typename Coded>
struct Chunk {
  static constexpr PanelKind kind = Coded::kind;

  uint4 codes[Coded::pieces];
  uint32_t factors;  ///< mxfp4: a byte per group and row
  /// Affine: scale and bias of a half of the chunk, of rows lane / 4 and 8 more.
  uint32_t pairs[Coded::halves][2];
  Scale wide[2];  ///< affine with f32 scales: of these rows; the bias less scale * base

  /// `from`: where the chunk lies; rows 16 * warp and so on of the panel.
  __device__ void load(uint32_t from, int warp, const PanelFormat& f) {
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int p = 0; p < Coded::pieces; ++p)
      codes[p] = load_shared_16(from + (warp * Coded::pieces + p) * 512 + lane * 16);
    const uint32_t at = from + Coded::code_bytes + (warp * 8 + lane / 4) * Coded::lane_scale_bytes;
    if constexpr (kind == PanelKind::mxfp4) {
      factors = load_shared_4(at);
    } else if constexpr (Coded::wide) {
      const uint4 v = load_shared_16(at);
      wide[0] = rebased({__uint_as_float(v.x), __uint_as_float(v.y)});
      wide[1] = rebased({__uint_as_float(v.z), __uint_as_float(v.w)});
    } else if constexpr (Coded::affine) {
#pragma unroll
      for (int half = 0; half < Coded::halves; ++half) {
        const uint2 v = load_shared_8(at + half * 8);
        pairs[half][0] = v.x, pairs[half][1] = v.y;
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
      const uint32_t w = word(codes[0], m);
      const __nv_bfloat162 low = factor(m / 2, 0), high = factor(m / 2, 1);
      a[0] = scaled(w & e2m1_places, low);
      a[1] = scaled(__funnelshift_l(w, w, e2m1_rotation(1)) & e2m1_places, high);
      a[2] = scaled(__funnelshift_l(w, w, e2m1_rotation(2)) & e2m1_places, low);
      a[3] = scaled((w & e2m1_rest) * e2m1_moves & e2m1_places, high);
    } else if constexpr (Coded::affine && !Coded::wide) {
      const uint32_t* const of_rows = pairs[m / 2 % Coded::halves];
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        uint32_t bits;
        if constexpr (kind == PanelKind::affine8)
          bits = __byte_perm(word(codes[m / 2], m % 2 * 2 + r / 2), 0, r % 2 == 0 ? 0x4140 : 0x4342);
        else
          bits = (r == 0 ? word(codes[0], m) << 4 : word(codes[0], m) >> (4 * r - 4)) & 0x00f000f0u;
        a[r] = affine(bits, of_rows[r % 2]);
      }
    } else {
      const Scale low = wide[0], high = wide[1];
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
  /// mxfp4: 2^126 times the scale of a half of the chunk and of rows lane / 4 or 8 more, twice. E8M0 is a bf16's
  /// exponent.
  __device__ __nv_bfloat162 factor(int half, int row) const {
    const uint32_t of_halves = (row == 0 ? factors << 7 : factors >> 1) & 0x7f807f80u;
    const auto pair = reinterpret_cast<const __nv_bfloat162&>(of_halves);
    return half == 0 ? __low2bfloat162(pair) : __high2bfloat162(pair);
  }
  __device__ static uint32_t scaled(uint32_t bits, __nv_bfloat162 factor) {
    const __nv_bfloat162 product = __hmul2(reinterpret_cast<const __nv_bfloat162&>(bits), factor);
    return reinterpret_cast<const uint32_t&>(product);
  }
  /// Two bf16 of which only the lower 8 bits are set, times a scale, plus a bias: panel_format.h has why.
  __device__ static uint32_t affine(uint32_t bits, uint32_t pair) {
    const auto scale_and_bias = reinterpret_cast<const __nv_bfloat162&>(pair);
    const __nv_bfloat162 sum = __hfma2(reinterpret_cast<const __nv_bfloat162&>(bits),
                                       __low2bfloat162(scale_and_bias), __high2bfloat162(scale_and_bias));
    return reinterpret_cast<const uint32_t&>(sum);
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
