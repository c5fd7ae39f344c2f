#pragma once

#include <array>
#include <cstdint>

namespace chorus::sampler {

/// Philox4x32-10: 128 random bits that are a function of a counter and a key alone. (Salmon, Moraes, Dror, Shaw 2011,
/// "Parallel random numbers: as easy as 1, 2, 3")
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t(0xd2511f53) * counter[0], b = uint64_t(0xcd9e8d57) * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b), uint32_t(a >> 32) ^ counter[3] ^ key[1],
               uint32_t(a)};
    key = {key[0] + 0x9e3779b9, key[1] + 0xbb67ae85};
  }
  return counter;
}

/// Uniform in [0, 1), 53 bits, for one position of one row. The seed is the key, row and position the counter.
inline double uniform(uint64_t seed, uint64_t row_key, int64_t position) {
  const auto bits = philox({uint32_t(position), uint32_t(uint64_t(position) >> 32), uint32_t(row_key),
                            uint32_t(row_key >> 32)},
                           {uint32_t(seed), uint32_t(seed >> 32)});
  return double((uint64_t(bits[0]) << 32 | bits[1]) >> 11) * 0x1p-53;
}

}  // namespace chorus::sampler
