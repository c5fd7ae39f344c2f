#include "backend/cpu/simd_neon.h"
// The lanes first, then the loops over them.
#include "backend/cpu/kernels_impl.h"

namespace chorus::cpu {

const Kernels* neon_kernels() {
  static const Kernels kernels = make_kernels("neon");
  return &kernels;
}

}  // namespace chorus::cpu
