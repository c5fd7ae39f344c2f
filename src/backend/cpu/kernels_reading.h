#pragma once

// Part of kernels_impl.h: the lanes' names and how the parts of a panel are read.
#include <cstddef>
#include <cstdint>

#include "backend/cpu/panel.h"
#include "tensor/dtype.h"

namespace chorus::cpu {
namespace {

using simd::F;
using simd::I;

constexpr int64_t block_columns = 32;  // inputs that share one int8 scale

/// To the L2 cache.
inline void prefetch(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

inline const uint8_t* bytes(const std::byte* p) {
  return reinterpret_cast<const uint8_t*>(p);
}

/// The scale and quant_bias vectors of a group of an affine panel.
struct GroupScales {
  F scale, quant_bias;
};
template <typename T>
inline GroupScales group_scales(const std::byte* scales, int64_t group) {
  const T* at = reinterpret_cast<const T*>(scales) + group * 2 * panel_rows;
  return {simd::load(at), simd::load(at + panel_rows)};
}
[[gnu::always_inline]] inline GroupScales group_scales(const PanelFormat& f, const std::byte* panel,
                                                       int64_t group) {
  const std::byte* scales = panel + f.code_bytes();
  return f.wide_scales ? group_scales<float>(scales, group) : group_scales<bf16>(scales, group);
}

/// The codes of columns 4 * four .. 4 * four + 3 of a block of 32, of 16 rows: a byte each.
template <PanelKind kind, int four>
[[gnu::always_inline]] inline I four_codes(const std::byte* panel, int64_t block) {
  if constexpr (kind == PanelKind::affine8) {
    return simd::load_ints(panel + (block * 8 + four) * 64);
  } else {
    const I both = simd::load_ints(panel + (block * 4 + four / 2) * 64);
    return four % 2 == 0 ? simd::nibbles_low(both) : simd::nibbles_high(both);
  }
}

/// The same as unsigned bytes to multiply with: those of FP4 are half units + 12.
template <PanelKind kind, int four>
[[gnu::always_inline]] inline I four_columns(const std::byte* panel, int64_t block) {
  const I codes = four_codes<kind, four>(panel, block);
  return kind == PanelKind::mxfp4 ? simd::fp4_to_units(codes) : codes;
}

/// Asks for the next panel, an equal share with every block of this one. It goes to the L2 cache: two panels would
/// push each other out of the first level. Lines are taken from several places of the panel in turn: the processor
/// reads ahead in each of them by itself, so that more reads are under way than from one place.
template <PanelKind kind, bool ahead>
class NextPanel {
 public:
  NextPanel(const PanelFormat& f, const std::byte* next)
      : at_(next),
        lines_per_place_((f.panel_bytes() / line + places - 1) / places),
        rest_(lines_per_place_ - f.columns / block_columns) {}
  void fetch_share() {
    if constexpr (ahead) {
      fetch_line_of_each();
      if (rest_-- > 0) fetch_line_of_each();  // the scales' share
    }
  }

 private:
  static constexpr int line = 64, places = kind == PanelKind::affine8 ? 8 : 4;  // as many as a block has lines
  void fetch_line_of_each() {
    for (int i = 0; i < places; ++i) prefetch(at_ + i * lines_per_place_ * line);
    at_ += line;
  }
  const std::byte* at_;
  int64_t lines_per_place_, rest_;
};

}  // namespace
}  // namespace chorus::cpu
