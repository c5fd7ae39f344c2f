// The panel kernels alone, on one thread: multiply-adds per second with the weights in the cache, and with weights
// that come from memory.   panel_bench [columns]
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "backend/cpu/kernels.h"

namespace chorus::cpu {
namespace {

using Clock = std::chrono::steady_clock;

struct Inputs {
  Inputs(int64_t tokens, int64_t columns, const Kernels& kernels)
      : values(size_t(tokens * columns)),
        codes(values.size()),
        scales(values.size() / 32),
        sums(values.size() / 32),
        offsets(values.size() / 32) {
    std::mt19937 random(1);
    for (float& v : values) v = std::normal_distribution<float>()(random);
    for (int64_t t = 0; t < tokens; ++t) {
      const auto at = size_t(t * columns), block = at / 32;
      kernels.quantise(&values[at], columns, &codes[at], &scales[block], &sums[block], &offsets[block]);
      rows.push_back({&values[at], &codes[at], &scales[block], &sums[block], &offsets[block]});
    }
  }
  std::vector<float> values;
  std::vector<int8_t> codes;
  std::vector<float> scales, sums;
  std::vector<int32_t> offsets;
  std::vector<TokenInputs> rows;
};

// Multiply-adds per second over `panels` panels, the best of five rounds of at least 20 ms.
double rate(const Kernels& kernels, const PanelFormat& f, bool fast, int64_t panels, int64_t tokens,
            const std::byte* weights, const Inputs& x, float* out) {
  const auto product = fast ? kernels.panel_fast : kernels.panel_exact;
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    int64_t passes = 0;
    const Clock::time_point begin = Clock::now();
    double seconds = 0;
    do {
      for (int64_t p = 0; p < panels; ++p)
        product({.format = f,
                 .panel = weights + p * f.panel_bytes(),
                 .next = weights + (p + 1) % panels * f.panel_bytes(),
                 .bias = nullptr,
                 .x = {x.rows.data(), size_t(tokens)},
                 .out = out,
                 .out_stride = panel_rows});
      ++passes;
      seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    } while (seconds < 0.02);
    best = std::max(best, double(passes * panels * panel_rows * f.columns * tokens) / seconds);
  }
  return best;
}

void run(int64_t columns) {
  const Kernels& kernels = choose_kernels();
  struct Case {
    const char* name;
    PanelFormat format;
    bool fast;
  };
  const Case cases[] = {
      {"mxfp4 fast", {.kind = PanelKind::mxfp4, .columns = columns}, true},
      {"affine8 fast", {.kind = PanelKind::affine8, .columns = columns, .group_size = 64}, true},
      {"affine4 fast", {.kind = PanelKind::affine4, .columns = columns, .group_size = 64}, true},
      {"mxfp4 exact", {.kind = PanelKind::mxfp4, .columns = columns}, false},
      {"affine8 exact", {.kind = PanelKind::affine8, .columns = columns, .group_size = 64}, false},
      {"bf16", {.kind = PanelKind::dense_bf16, .columns = columns}, false},
  };
  const Inputs x(64, columns, kernels);
  std::vector<float> out(64 * panel_rows);
  constexpr size_t memory_bytes = size_t(256) << 20;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(size_t(2) << 20, memory_bytes));
  ::madvise(memory, memory_bytes, MADV_HUGEPAGE);
  std::memset(memory, 0x77, memory_bytes);
  fmt::print("{}, {} columns, GMAC/s of one thread: weights in cache | from memory (GB/s)\n{:16}", kernels.name,
             columns, "tokens");
  const int64_t counts[] = {1, 2, 3, 4, 6, 8, 12, 16, 32, 64};
  for (const int64_t tokens : counts) fmt::print("{:>13}", tokens);
  fmt::print("\n");
  for (const Case& c : cases) {
    fmt::print("{:16}", c.name);
    const auto in_cache = std::max<int64_t>(1, (int64_t(128) << 10) / c.format.panel_bytes());
    const auto in_memory = int64_t(memory_bytes) / c.format.panel_bytes();
    for (const int64_t tokens : counts) {
      const double cached = rate(kernels, c.format, c.fast, in_cache, tokens, memory, x, out.data());
      fmt::print("{:>6.0f}", cached / 1e9);
      if (tokens > 16) {
        fmt::print("{:7}", "");
        continue;
      }
      const double streamed = rate(kernels, c.format, c.fast, in_memory, tokens, memory, x, out.data());
      const double bytes = double(c.format.panel_bytes()) / double(panel_rows * columns * tokens);
      fmt::print("|{:<6.0f}", streamed * bytes / 1e9);
    }
    fmt::print("\n");
  }
  std::free(memory);
}

}  // namespace
}  // namespace chorus::cpu

int main(int argc, char** argv) {
  chorus::cpu::run(argc > 1 ? std::atoll(argv[1]) : 2880);
}
