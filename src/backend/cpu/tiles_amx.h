#pragma once

// Tile registers: AMX int8. An A tile has a row per token, a B tile four columns of 16 outputs per row (as panels
// lie in memory), a C tile the 32-bit sums: a row per token, 16 outputs wide.
#include <cstdint>

#include "backend/cpu/tile_config.h"

namespace chorus::cpu::tiles {
namespace {

/// Empties all tiles.
inline void configure(const TileConfig& config) {
  asm volatile("ldtilecfg %0" : : "m"(config));
}
inline void release() {
  asm volatile("tilerelease");
}
template <int tile>
inline void zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(tile));
}
/// Rows `stride` bytes apart.
template <int tile>
inline void load(const void* p, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
inline void store(void* p, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(tile) : "memory");
}
/// c += a * b; a signed bytes, b signed or unsigned ones.
template <int c, int a, int b, bool b_is_signed>
inline void dot() {
  if constexpr (b_is_signed)
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  else
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
}

}  // namespace
}  // namespace chorus::cpu::tiles
