#pragma once

#include <cstdint>

namespace chorus::cpu {

/// What LDTILECFG reads: the size of each tile.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace chorus::cpu
