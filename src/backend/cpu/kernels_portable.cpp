#include "backend/cpu/simd_portable.h"
// The lanes first, then the loops over them.
#include "backend/cpu/kernels_impl.h"

namespace chorus::cpu {

const Kernels* portable_kernels() {
  static const Kernels kernels = make_kernels("portable");
  return &kernels;
}

}  // namespace chorus::cpu
