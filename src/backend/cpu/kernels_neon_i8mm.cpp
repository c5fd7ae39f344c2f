#include "backend/cpu/simd_neon.h"
// The lanes first, then the loops over them.
#include "backend/cpu/kernels_impl.h"

namespace chorus::cpu {

const Kernels* neon_i8mm_kernels() {
  static const Kernels kernels = make_kernels("neon_i8mm");
  return &kernels;
}

}  // namespace chorus::cpu
