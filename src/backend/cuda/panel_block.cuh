// Products of many tokens (panel_product.cuh): a thread block of eight warps computes, for a tile of up to 64
// tokens, a panel a warp. A stage of shared memory holds a chunk of the tokens' inputs, for all warps, and of
// every warp's panel, for it alone, and several stages are on their way.
#pragma once

#include "backend/cuda/panel_product.cuh"

namespace chorus::cuda {

constexpr int block_warps = 8, block_threads = block_warps * 32, block_tokens = 64, block_tiles = block_tokens / 8;
template <typename Coded>
constexpr unsigned block_stages = Coded::code_bits <= 8 ? 4 : 2;  ///< as many as fit, a power of two

/// What a block keeps in its dynamic shared memory: the stages, and the sums of the classes so far.
template <typename Coded>
struct BlockShared {
  static constexpr int outputs = block_warps * panel_rows;  ///< of the warps' panels
  uint4 tokens[block_stages<Coded>][block_tokens][8];       ///< units of 8 columns, in the order of StagedTokens
  alignas(16) std::byte weights[block_stages<Coded>][block_warps][Coded::copy_bytes];
  float sums[outputs][block_tokens + 8];  // eight more: banks

  template <int tiles>
  __device__ __forceinline__ void fold(bool first, float (&of_class)[tiles][4]) {
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; i += 2) {
        float* at = &sums[warp * panel_rows + lane / 4 + i / 2 * 8][n * 8 + lane % 4 * 2];
        float2 value = {of_class[n][i], of_class[n][i + 1]};
        if (!first) {
          const float2 before = *reinterpret_cast<const float2*>(at);
          value = {before.x + value.x, before.y + value.y};
        }
        *reinterpret_cast<float2*>(at) = value;
        of_class[n][i] = of_class[n][i + 1] = 0;
      }
  }
  /// Calls f(row, token) for all, spread over the threads: neighbours have neighbouring rows.
  template <typename F>
  __device__ static void for_each(int rows, int tokens, F&& f) {
#pragma unroll 4
    for (int i = int(threadIdx.x); i < rows * ((tokens + 1) / 2 * 2); i += block_threads) {
      const int row = i % 16 + i / 32 % (rows / 16) * 16, token = i / 16 % 2 + i / (rows * 2) * 2;
      if (token < tokens) f(row, token);
    }
  }
};
extern __shared__ uint4 block_memory[];

/// A chunk of 64 tokens: 128 bytes each, the halves of odd tokens in changed places, so that eight lanes read all
/// banks. The thread copies 16 bytes of two tokens, threadIdx.x / 8 and 32 more, and reads those of token lane / 4
/// of a tile.
struct StagedTokens {
  static constexpr uint32_t stage_bytes = block_tokens * 128;
  uint32_t to, from[2];
  const uint16_t* rows[2];

  __device__ StagedTokens(uint32_t memory, const uint16_t* const (&of_tokens)[2]) {
    const int thread = int(threadIdx.x), token = thread / 8, unit = thread % 8, lane = thread % 32;
    to = memory + token * 128 + (unit ^ (token & 1) << 2) * 16;
    from[0] = memory + lane / 4 * 128 + (lane % 4 ^ (lane / 4 & 1) << 2) * 16;
    from[1] = memory + lane / 4 * 128 + ((lane % 4 | 4) ^ (lane / 4 & 1) << 2) * 16;
    for (int i = 0; i < 2; ++i) rows[i] = of_tokens[i] + unit * 8;
  }
  __device__ void copy(unsigned stage, int chunk) const {
#pragma unroll
    for (int i = 0; i < 2; ++i)
      copy_async<16>(to + stage * stage_bytes + i * 32 * 128, rows[i] + chunk * chunk_columns);
  }
  /// Half `half` of the chunk for tile n: registers B of two mma.
  __device__ uint4 load(unsigned stage, int n, int half) const {
    return load_shared_16(from[half] + stage * stage_bytes + n * 8 * 128);
  }
};

/// Goes through chunks c, c + 4, ... of class c, then, unless it is the only one, through the next class.
struct ClassWalk {
  int cls, chunk;

  __device__ explicit ClassWalk(int first_class) : cls(first_class), chunk(first_class) {}
  /// True if the class has ended.
  __device__ bool advance(int chunks) {
    chunk += classes;
    if (chunk < chunks) return false;
    chunk = ++cls;
    return true;
  }
};

/// shared.sums of the warp's panel for 8 * tiles of the tokens whose inputs are `rows`: of all classes, or of
/// class `only`. Ends with the sums there for all threads.
template <int tiles, bool one_class, typename Coded>
__device__ __forceinline__ void multiply_tiles(const PanelFormat& f, const std::byte* panel,
                                               const uint16_t* const (&rows)[2], int only,
                                               BlockShared<Coded>& shared) {
  constexpr unsigned stages = block_stages<Coded>, stage_bytes = block_warps * Coded::copy_bytes;
  const int warp = int(threadIdx.x) / 32, chunks = int(f.chunks()), first = one_class ? only : 0;
  const int chunk_bytes = int(f.chunk_bytes());
  const unsigned count = unsigned(one_class ? (chunks - only + classes - 1) / classes : chunks);
  const StagedTokens tokens(shared_address(shared.tokens), rows);
  const uint32_t staged_weights = shared_address(shared.weights) + warp * Coded::copy_bytes;
  ClassWalk ahead(first), walk(first);
  unsigned copied = 0;
  const auto copy_next = [&] {
    const unsigned stage = copied++ % stages;
    const int chunk = min(ahead.chunk, chunks - 1);  // past the last: copied, and not used
    tokens.copy(stage, chunk);
    Chunk<Coded>::copy(staged_weights + stage * stage_bytes, panel + chunk * chunk_bytes);
    commit_copies();
    ahead.advance(chunks);
  };
#pragma unroll
  for (unsigned s = 0; s < stages - 1; ++s) copy_next();

  float sums[tiles][4] = {};
  bool none_yet = true;
#pragma unroll 1
  for (unsigned i = 0; i < count; ++i) {
    wait_for_copies<stages - 2>();
    __syncthreads();
    copy_next();  // into the stage that all have just left
    const unsigned stage = i % stages;
    Chunk<Coded> weights;
    weights.load(staged_weights + stage * stage_bytes, f);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t a[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) weights.weights(half * 2 + m, a[m]);
#pragma unroll
      for (int n = 0; n < tiles; ++n) {
        const uint4 in = tokens.load(stage, n, half);
        multiply(sums[n], a[0], in.x, in.y);
        multiply(sums[n], a[1], in.z, in.w);
      }
    }
    if (walk.advance(chunks) || i + 1 == count) {
      shared.fold(none_yet, sums);
      none_yet = false;
    }
  }
  if (none_yet) shared.fold(true, sums);
  wait_for_copies<0>();
  __syncthreads();
}

/// As multiply_tiles, for `used` tiles.
template <bool one_class, typename Coded>
__device__ __forceinline__ void multiply_block(const PanelFormat& f, const std::byte* panel,
                                               const uint16_t* const (&rows)[2], int used, int only,
                                               BlockShared<Coded>& shared) {
  if (used > 4)
    multiply_tiles<8, one_class>(f, panel, rows, only, shared);
  else if (used > 2)
    multiply_tiles<4, one_class>(f, panel, rows, only, shared);
  else
    multiply_tiles<2, one_class>(f, panel, rows, only, shared);
}

}  // namespace chorus::cuda
