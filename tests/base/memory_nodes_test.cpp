#include "base/memory_nodes.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "base/file.h"

namespace chorus {
namespace {

struct Case {
  const char* why;
  const char* has_memory;
  std::vector<int> expected;
};
const Case cases[] = {
    {"one node", "0\n", {0}},
    {"two sockets", "0-1\n", {0, 1}},
    {"nodes that are processors alone are left out", "0,2-3,8\n", {0, 2, 3, 8}},
    {"no end of line", "0-1", {0, 1}},
    {"nothing", "", {}},
    {"no number", "zero\n", {}},
    {"a range without an end", "0-\n", {}},
    {"a range backwards", "3-1\n", {}},
    {"more than there can be", "0-99999\n", {}},
    {"something behind a number", "0;1\n", {}},
};

TEST(MemoryNodes, AreReadFromTheSystemsFolder) {
  const std::filesystem::path root = std::filesystem::path(testing::TempDir()) / "chorus_memory_nodes";
  std::filesystem::create_directories(root);
  for (const Case& c : cases) {
    write_file(root / "has_memory", c.has_memory);
    EXPECT_EQ(memory_nodes(root), c.expected) << c.why;
  }
  std::filesystem::remove_all(root);
  EXPECT_TRUE(memory_nodes(root).empty()) << "a system that has no such folder";
}

TEST(MemoryNodes, SpreadMemoryIsMemory) {
  constexpr size_t bytes = 8 << 20;
  const std::vector<int> here = memory_nodes();
  for (const std::vector<int>& nodes : {std::vector<int>{}, {0}, here, {0, 1}, {0, 1023}}) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    spread_over_nodes(memory, bytes, nodes);  // nodes that do not exist here are refused
    std::memset(memory, 1, bytes);
    EXPECT_EQ(static_cast<char*>(memory)[bytes - 1], 1);
    ::munmap(memory, bytes);
  }
  EXPECT_TRUE(spread_over_nodes(nullptr, 0, {})) << "one node: nothing to do";
}

}  // namespace
}  // namespace chorus
