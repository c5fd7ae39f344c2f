#include "backend/emulated_kernels.h"

#if defined(__x86_64__)
#include "backend/cpu/simd_avx512.h"
#include "backend/emulated_tiles.h"
// The lanes and the tiles first, then the loops over them.
#include "backend/cpu/kernels_tiles.h"

namespace chorus::test {

const cpu::Kernels* emulated_tile_kernels() {
  static const cpu::Kernels kernels = cpu::make_tile_kernels("emulated tiles");
  return &kernels;
}

}  // namespace chorus::test
#else
const chorus::cpu::Kernels* chorus::test::emulated_tile_kernels() {
  return nullptr;
}
#endif
