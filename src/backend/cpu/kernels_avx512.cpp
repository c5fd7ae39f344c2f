#include "backend/cpu/simd_avx512.h"
// The lanes first, then the loops over them.
#include "backend/cpu/kernels_impl.h"

namespace chorus::cpu {

const Kernels* avx512_kernels() {
  static const Kernels kernels = make_kernels("avx512");
  return &kernels;
}

}  // namespace chorus::cpu
