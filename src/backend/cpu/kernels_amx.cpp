#include "backend/cpu/simd_avx512.h"
#include "backend/cpu/tiles_amx.h"
// The lanes and the tiles first, then the loops over them.
#include "backend/cpu/kernels_tiles.h"

namespace chorus::cpu {

const Kernels* amx_kernels() {
  static const Kernels kernels = make_tile_kernels("amx");
  return &kernels;
}

}  // namespace chorus::cpu
