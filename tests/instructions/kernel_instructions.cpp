// kernel_instructions KIND TOKENS REPEATS: so many products of one panel of 2880 columns, by the AVX2 kernels (which
// valgrind knows). instructions.sh counts the instructions. Exits with 77 where the processor has no AVX2.
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "backend/cpu/kernels.h"

namespace chorus::cpu {
namespace {

constexpr int64_t columns = 2880;

int run(std::string_view kind, int64_t tokens, int64_t repeats) {
  const Kernels* avx2 = nullptr;
  for (const Kernels* kernels : available_kernels())
    if (kernels->name == "avx2") avx2 = kernels;
  if (avx2 == nullptr) return 77;
  PanelFormat f{.kind = PanelKind::mxfp4, .columns = columns, .group_size = 64};
  if (kind.starts_with("affine8")) f.kind = PanelKind::affine8;
  if (kind.starts_with("affine4")) f.kind = PanelKind::affine4;
  const auto product = kind.ends_with("exact") ? avx2->panel_exact : avx2->panel_fast;

  const auto n = size_t(tokens * columns);
  std::vector<float> values(n, 0.5f), scales(n / 32), sums(n / 32), out(size_t(tokens * panel_rows));
  std::vector<int8_t> codes(n);
  std::vector<int32_t> offsets(n / 32);
  std::vector<TokenInputs> x;
  for (int64_t t = 0; t < tokens; ++t) {
    const auto at = size_t(t * columns), block = at / 32;
    avx2->quantise(&values[at], columns, &codes[at], &scales[block], &sums[block], &offsets[block]);
    x.push_back({&values[at], &codes[at], &scales[block], &sums[block], &offsets[block]});
  }
  std::vector<std::byte> panel(size_t(f.panel_bytes()), std::byte{0x3f});
  for (int64_t i = 0; i < repeats; ++i)
    product({.format = f, .panel = panel.data(), .next = panel.data(), .bias = nullptr, .x = x, .out = out.data(),
             .out_stride = panel_rows});
  return 0;
}

}  // namespace
}  // namespace chorus::cpu

int main(int argc, char** argv) {
  return argc == 4 ? chorus::cpu::run(argv[1], std::atoll(argv[2]), std::atoll(argv[3])) : 2;
}
