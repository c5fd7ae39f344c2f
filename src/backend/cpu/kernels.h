#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "backend/cpu/panel.h"
#include "tensor/dtype.h"

namespace chorus::cpu {

/// Attention of a few consecutive tokens of one row to one kv head: they share the keys that they read.
struct AttentionRows {
  int64_t tokens;  ///< at most max_attention_tokens
  const float* q;  ///< [tokens, heads, dim], already scaled; q_stride elements from token to token
  int64_t q_stride;
  const float* sinks;     ///< [heads] or null
  int64_t heads, dim;     ///< query heads of this kv head
  int64_t window;         ///< keys that a query sees; 0: all
  int64_t position;       ///< of the first token
  const int32_t* blocks;  ///< block of position p: blocks[p / 16 - first_block]
  int64_t first_block;
  const void* keys;      ///< + block * block_stride elements: [dim][16 tokens]
  const void* values;    ///< + block * block_stride elements: [16 tokens][dim]
  int64_t block_stride;  ///< elements
  float* out;            ///< like q
};
constexpr int64_t max_attention_tokens = 8;
constexpr int64_t max_heads_per_kv_head = 64;
constexpr int64_t max_head_dim = 512;

/// out[t * out_stride + r] = bias[r] + panel row r . x[t]
struct PanelProduct {
  const PanelFormat& format;
  const std::byte* panel;
  const std::byte* next;  ///< panel that the thread reads after this one, brought nearer meanwhile; null: none
  const float* bias;      ///< [16] or null
  std::span<const TokenInputs> x;  ///< quantised ones lie one behind the other, as take_inputs() makes them
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
  /// panel[w * 16 + r] = word w of row r, for 16 rows of `words` 32-bit words that need no alignment. `pair`: the
  /// eight 4-bit codes of a word, in order, become four bytes with code c low and code 4 + c high.
  void (*interleave)(const std::byte* const* rows, int64_t words, bool pair, std::byte* panel);
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* out);
  void (*clamped_swiglu)(const float* gate, const float* up, int64_t n, float alpha, float limit, float* out);
  void (*attention_bf16)(const AttentionRows&);
  void (*attention_f32)(const AttentionRows&);
  /// So many rounds of multiply-adds between registers; returns how many multiply-adds that was.
  int64_t (*spin_int8)(int64_t rounds);
  int64_t (*spin_f32)(int64_t rounds);
};

const Kernels* amx_kernels();  // these three in builds for x86
const Kernels* avx512_kernels();
const Kernels* avx2_kernels();
const Kernels* neon_i8mm_kernels();  // these two in builds for 64-bit ARM
const Kernels* neon_kernels();
const Kernels* portable_kernels();

/// All that this processor runs, first the one that is taken unasked.
std::vector<const Kernels*> available_kernels();

/// The first of them; CHORUS_CPU=NAME asks for another. Throws Fault::usage for one that does not
/// exist or that the processor lacks.
const Kernels& choose_kernels();

}  // namespace chorus::cpu
