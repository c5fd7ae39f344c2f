#include "base/memory_nodes.h"

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace chorus {
namespace {

constexpr int max_nodes = 1024;  // as Linux is built at most

}  // namespace

// "0-1,4": numbers and ranges.
std::vector<int> memory_nodes(const std::filesystem::path& root) {
  std::ifstream file(root / "has_memory");
  std::string text;
  std::getline(file, text);
  std::vector<int> nodes;
  for (const char *at = text.data(), *const end = at + text.size(); at != end;) {
    int first = 0, last = 0;
    auto read = std::from_chars(at, end, first);
    if (read.ec != std::errc()) return {};
    last = first;
    if (read.ptr != end && *read.ptr == '-') read = std::from_chars(read.ptr + 1, end, last);
    if (read.ec != std::errc() || first < 0 || last < first || last >= max_nodes) return {};
    for (int node = first; node <= last; ++node) nodes.push_back(node);
    at = read.ptr;
    if (at != end && *at++ != ',') return {};
  }
  return nodes;
}

bool spread_over_nodes(void* begin, size_t bytes, std::span<const int> nodes) {
  if (nodes.size() < 2) return true;
#ifdef __linux__
  constexpr unsigned long interleave = 3;  // MPOL_INTERLEAVE of linux/mempolicy.h
  constexpr size_t bits = 8 * sizeof(unsigned long);
  unsigned long mask[max_nodes / bits] = {};
  for (const int node : nodes) mask[size_t(node) / bits] |= 1ul << (size_t(node) % bits);
  return ::syscall(SYS_mbind, begin, bytes, interleave, mask, max_nodes + 1, 0) == 0;
#else
  (void)begin, (void)bytes;
  return false;
#endif
}

}  // namespace chorus
