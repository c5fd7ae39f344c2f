// How the copy engine finds the inputs of products.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace chorus::cuda {

/// Rows of bf16, one under the other: columns in whole chunks (panel_format.h).
struct Rows16 {
  const uint16_t* data;
  int64_t rows, columns;
};

/// Boxes of some chunks of 8, 16, ... rows, which come to shared memory as wgmma reads them (wgmma.cuh), a chunk
/// after the other. What lies past the matrix comes as zeros.
struct InputTiles {
  static constexpr int sizes = 5;

  CUtensorMap boxes[sizes];
  int most_rows;  ///< those of the last box that a tile needs

#ifdef __CUDACC__
  __host__ __device__
#endif
      constexpr int
      rows(int box) const {
    return (8 << box) < most_rows ? 8 << box : most_rows;
  }
};

InputTiles input_tiles(const Rows16& rows, int tile_tokens, int chunks);

}  // namespace chorus::cuda
