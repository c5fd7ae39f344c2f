#pragma once

// backend/cpu/tiles_amx.h in plain C++, for processors without tile registers. One thread at a time.
#include <cstdint>
#include <cstring>

#include "backend/cpu/tile_config.h"

namespace chorus::cpu::tiles {
namespace {

TileConfig configured;
std::byte registers[8][16][64];

inline void configure(const TileConfig& config) {
  configured = config;
  std::memset(registers, 0, sizeof registers);
}
inline void release() {
  configured = {};
}
template <int tile>
inline void zero() {
  std::memset(registers[tile], 0, sizeof registers[tile]);
}
template <int tile>
inline void load(const void* p, int64_t stride) {
  zero<tile>();
  for (int r = 0; r < configured.rows[tile]; ++r)
    std::memcpy(registers[tile][r], static_cast<const std::byte*>(p) + r * stride, configured.row_bytes[tile]);
}
template <int tile>
inline void store(void* p, int64_t stride) {
  for (int r = 0; r < configured.rows[tile]; ++r)
    std::memcpy(static_cast<std::byte*>(p) + r * stride, registers[tile][r], configured.row_bytes[tile]);
}
template <int c, int a, int b, bool b_is_signed>
inline void dot() {
  for (int m = 0; m < configured.rows[c]; ++m)
    for (int n = 0; n < configured.row_bytes[c] / 4; ++n) {
      int32_t sum;
      std::memcpy(&sum, registers[c][m] + 4 * n, 4);
      for (int k = 0; k < configured.row_bytes[a]; ++k) {
        const std::byte w = registers[b][k / 4][4 * n + k % 4];
        sum += int8_t(registers[a][m][k]) * (b_is_signed ? int8_t(w) : uint8_t(w));
      }
      std::memcpy(registers[c][m] + 4 * n, &sum, 4);
    }
}

}  // namespace
}  // namespace chorus::cpu::tiles
