#include "sampler/philox.h"

#include <gtest/gtest.h>

namespace chorus::sampler {
namespace {

using Four = std::array<uint32_t, 4>;

// kat_vectors of the authors' Random123 1.14: philox4x32, 10 rounds.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformNumbersFillTheUnitIntervalEvenly) {
  int bins[16] = {};
  constexpr int draws = 160000;
  for (int i = 0; i < draws; ++i) ++bins[int(uniform(1, 2, i) * 16)];
  double chi_square = 0;
  for (const int n : bins) chi_square += (n - draws / 16.) * (n - draws / 16.) / (draws / 16.);
  EXPECT_LT(chi_square, 37.7) << "99.9 % of even distributions stay below, 15 degrees of freedom";
}

}  // namespace
}  // namespace chorus::sampler
