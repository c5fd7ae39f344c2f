#include "backend/cpu/simd_avx2.h"
// The lanes first, then the loops over them.
#include "backend/cpu/kernels_impl.h"

namespace chorus::cpu {

const Kernels* avx2_kernels() {
  static const Kernels kernels = make_kernels("avx2");
  return &kernels;
}

}  // namespace chorus::cpu
