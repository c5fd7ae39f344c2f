#include "scheduler/block_cache.h"

#include <gtest/gtest.h>

namespace chorus::scheduler {
namespace {

using Tokens = std::vector<int32_t>;

TEST(BlockPool, BlocksWithoutContentGoFirstThenTheOldest) {
  BlockPool pool(4);
  for (int32_t expected : {0, 1, 2, 3}) EXPECT_EQ(pool.take(), expected);
  EXPECT_EQ(pool.free(), 0);
  EXPECT_EQ(pool.most_used(), 4);
  pool.share(2);
  EXPECT_FALSE(pool.release(2));  // one owner is left
  for (int32_t block : {2, 0, 3}) {
    EXPECT_TRUE(pool.release(block));
    if (block == 3)
      pool.free_first(block);
    else
      pool.free_last(block);
  }
  pool.share(2);  // found again: leaves the list
  EXPECT_EQ(pool.take(), 3);
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.free(), 0);
}

TEST(PrefixIndex, KeysAreComparedInFullAndSerialsAreNotUsedAgain) {
  PrefixIndex index(64, 1, 2);
  std::vector<int32_t> nodes;
  for (int32_t i = 0; i < 64; ++i) {  // 64 keys in 128 buckets: some collide
    const Tokens tokens = {i / 8, i % 8};
    ASSERT_EQ(index.find(PrefixIndex::root, tokens), PrefixIndex::none);
    nodes.push_back(index.add(PrefixIndex::root, tokens));
    index.attach(nodes.back(), 0, i);
  }
  EXPECT_EQ(index.size(), 64);
  for (int32_t i = 0; i < 64; ++i) {
    EXPECT_EQ(index.find(PrefixIndex::root, Tokens{i / 8, i % 8}), nodes[size_t(i)]);
    EXPECT_EQ(index.find(index.serial(nodes[size_t(i)]), Tokens{i / 8, i % 8}), PrefixIndex::none)
        << "another parent";
  }
  const uint64_t serial = index.serial(nodes[5]);
  index.detach(nodes[5], 0);
  EXPECT_EQ(index.find(PrefixIndex::root, Tokens{0, 5}), PrefixIndex::none);
  const int32_t again = index.add(PrefixIndex::root, Tokens{0, 5});
  EXPECT_NE(index.serial(again), serial) << "what followed the old one is not found behind the new one";
}

// Two pools, all and a window of 5, blocks of 2 tokens; the prefix 1 2 | 3 4 | 5 6 | 7 8 is published, some of its
// blocks are used for something else.
TEST(BlockCache, AMatchNeedsAllFullBlocksAndTheLastWindow) {
  struct Case {
    const char* why;
    std::vector<int> lost_full, lost_window;  // block numbers
    int64_t expected;                         // blocks found of all four
    int64_t of_first;                         // of the first alone
  };
  const Case cases[] = {
      {"all there", {}, {}, 4, 1},
      {"the window before the end is enough: positions 4 to 7", {}, {0, 1}, 4, 0},
      {"the last window block is lost", {}, {3}, 3, 1},
      {"one in the middle: only what lies before it", {}, {2}, 2, 1},
      {"the first: the window at 2, 4 and 6 tokens reaches it", {}, {0}, 4, 0},
      {"the first and the last: the window at 6 tokens begins at 2", {}, {0, 3}, 3, 0},
      {"a full block", {1}, {}, 1, 1},
      {"the first full block", {0}, {}, 0, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    BlockCache cache({{.window = 0, .blocks = 4}, {.window = 5, .blocks = 4}}, 2);
    const Tokens tokens = {1, 2, 3, 4, 5, 6, 7, 8};
    uint64_t prefix = PrefixIndex::root;
    std::vector<int32_t> blocks[2];
    for (size_t i = 0; i < 4; ++i) {
      for (size_t p = 0; p < 2; ++p) blocks[p].push_back(cache.take(p));
      prefix = cache.publish(prefix, std::span(tokens).subspan(2 * i, 2), Tokens{blocks[0][i], blocks[1][i]});
    }
    std::vector<int32_t> nodes;
    EXPECT_EQ(cache.match(tokens, nodes).blocks, 0);
    EXPECT_TRUE(cache.match(tokens, nodes).pending);
    cache.settle();
    EXPECT_FALSE(cache.match(tokens, nodes).pending);
    for (size_t i = 0; i < 4; ++i)
      for (size_t p = 0; p < 2; ++p) {
        const auto& lost = p == 0 ? c.lost_full : c.lost_window;
        cache.release(p, blocks[p][i], std::find(lost.begin(), lost.end(), int(i)) == lost.end());
      }
    EXPECT_EQ(cache.match(tokens, nodes).blocks, c.expected);
    EXPECT_EQ(int64_t(nodes.size()), c.expected);
    EXPECT_EQ(cache.match(Tokens{1, 2, 3}, nodes).blocks, c.of_first) << "full blocks only";
    EXPECT_EQ(cache.match(Tokens{2, 2, 3, 4}, nodes).blocks, 0);
  }
}

}  // namespace
}  // namespace chorus::scheduler
