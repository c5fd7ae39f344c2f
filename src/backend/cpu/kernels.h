#pragma once

#include <span>
#include <string_view>

#include "backend/cpu/panel.h"
#include "tensor/dtype.h"

namespace chorus::cpu {

/// Where the attention of one token to one kv head finds its keys and values.
struct AttentionRow {
  const float* q;           ///< [heads, dim], already scaled
  const float* sinks;       ///< [heads] or null
  int64_t heads, dim;       ///< query heads of this kv head
  int64_t first, position;  ///< keys first..position are seen
  const int32_t* blocks;    ///< block of position p: blocks[p / 16 - first_block]
  int64_t first_block;
  const void* keys;      ///< + block * block_stride elements: [dim][16 tokens]
  const void* values;    ///< + block * block_stride elements: [16 tokens][dim]
  int64_t block_stride;  ///< elements
  float* out;            ///< [heads, dim]
};
constexpr int64_t max_heads_per_kv_head = 64;
constexpr int64_t max_head_dim = 512;

/// out[t * out_stride + r] = bias[r] + panel row r . x[t]
struct PanelProduct {
  const PanelFormat& format;
  const std::byte* panel;
  const std::byte* next;  ///< panel that the thread reads after this one, brought nearer meanwhile; null: none
  const float* bias;      ///< [16] or null
  std::span<const TokenInputs> x;
  float* out;
  int64_t out_stride;
};

/// The inner loops, compiled once per instruction set. What a kernel computes for a token is the same, operation
/// by operation, whichever tokens it is called with.
struct Kernels {
  std::string_view name;
  void (*panel_exact)(const PanelProduct&);  ///< f32 inputs
  void (*panel_fast)(const PanelProduct&);   ///< int8 inputs for quantised panels; dense ones take f32
  /// columns a multiple of 32.
  void (*quantise)(const float* x, int64_t columns, int8_t* codes, float* scales, float* scaled_sums,
                   int32_t* offsets);
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* out);
  void (*clamped_swiglu)(const float* gate, const float* up, int64_t n, float alpha, float limit, float* out);
  void (*attention_bf16)(const AttentionRow&);
  void (*attention_f32)(const AttentionRow&);
};

const Kernels* avx512_kernels();  ///< null where the build has none
const Kernels* avx2_kernels();
const Kernels* portable_kernels();

/// The best that this processor runs; CHORUS_CPU=avx512|avx2|portable asks for another. Throws Fault::usage for
/// one that does not exist or that the processor lacks.
const Kernels& choose_kernels();

}  // namespace chorus::cpu
