#include <cstdlib>

#include "backend/cpu/kernels.h"
#include "chorus/error.h"

namespace chorus::cpu {
namespace {

bool has_avx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

}  // namespace

#if !defined(__x86_64__)
const Kernels* avx512_kernels() {
  return nullptr;
}
const Kernels* avx2_kernels() {
  return nullptr;
}
#endif

const Kernels& choose_kernels() {
  const Kernels* const avx512 = has_avx512() ? avx512_kernels() : nullptr;
  const Kernels* const avx2 = has_avx2() ? avx2_kernels() : nullptr;
  const char* wanted = std::getenv("CHORUS_CPU");
  if (wanted == nullptr || *wanted == 0)
    return avx512 != nullptr ? *avx512 : avx2 != nullptr ? *avx2 : *portable_kernels();
  for (const Kernels* kernels : {avx512, avx2, portable_kernels()})
    if (kernels != nullptr && kernels->name == wanted) return *kernels;
  throw Error(Fault::usage, "CHORUS_CPU asks for an instruction set that this processor or build lacks")
      .with("CHORUS_CPU", wanted)
      .with("known", "avx512, avx2, portable");
}

}  // namespace chorus::cpu
