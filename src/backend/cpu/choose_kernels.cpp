#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <string>

#include "backend/cpu/kernels.h"
#include "chorus/error.h"

namespace chorus::cpu {
namespace {

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
/// Linux gives a process its tiles when it asks for them: they make every thread's saved state 8 KB larger.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}
bool has_amx() {
  return has_avx512() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
         may_use_tiles();
}
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#elif defined(__aarch64__) && defined(__linux__)
bool has_dot_products() {
  return (::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}
bool has_i8mm() {
  return has_dot_products() && (::getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}
#endif

}  // namespace

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> available;
#if defined(__x86_64__)
  if (has_amx()) available.push_back(amx_kernels());
  if (has_avx512()) available.push_back(avx512_kernels());
  if (has_avx2()) available.push_back(avx2_kernels());
#elif defined(__aarch64__) && defined(__linux__)
  if (has_i8mm()) available.push_back(neon_i8mm_kernels());
  if (has_dot_products()) available.push_back(neon_kernels());
#endif
  available.push_back(portable_kernels());
  return available;
}

const Kernels& choose_kernels() {
  const std::vector<const Kernels*> available = available_kernels();
  const char* wanted = std::getenv("CHORUS_CPU");
  if (wanted == nullptr || *wanted == 0) return *available.front();
  std::string names;
  for (const Kernels* kernels : available) {
    if (kernels->name == wanted) return *kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw Error(Fault::usage, "CHORUS_CPU asks for an instruction set that this processor or build lacks")
      .with("CHORUS_CPU", wanted)
      .with("this processor has", names);
}

}  // namespace chorus::cpu
