// The instruction sets that fuse multiply-adds do the same operations in the same order: the same bits. (portable
// rounds twice.)
#include "backend/backends.h"

namespace chorus::test {
namespace {

TEST(SameBits, ProductsOfEveryInstructionSetWithFma) {
  for (const bool fast : {true, false})
    for (const Coded& coded : {mxfp4, affine8, affine4, dense_bf16, dense_f32})
      for (const int64_t tokens : {1, 3, 9}) {
        SCOPED_TRACE(coded.name());
        std::vector<float> first;
        for (const NamedBackend& b : backends()) {
          if (b.fast != fast || b.name.find("portable") != std::string::npos) continue;
          SCOPED_TRACE(b.name);
          Memory memory;
          Random random(3);
          const Placed<Linear> placed(*b.backend, random_linear(memory, random, coded, 37, 192, true));
          const Tensor x = random.normals(memory, {tokens, 192}), out = result(memory, {tokens, 37});
          run(*b.backend, MatMul{.x = x, .linear = placed.linear, .out = out});
          const auto values = out.values<float>();
          if (first.empty()) first.assign(values.begin(), values.end());
          EXPECT_EQ(std::memcmp(first.data(), values.data(), first.size() * sizeof(float)), 0);
        }
      }
}

}  // namespace
}  // namespace chorus::test
