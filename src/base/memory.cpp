#include "base/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace chorus {
namespace {

constexpr uint64_t unknown = std::numeric_limits<uint64_t>::max();

uint64_t number_in(const char* file) {  // "max" is no number
  std::ifstream in(file);
  uint64_t n = 0;
  return in >> n ? n : unknown;
}

uint64_t meminfo_available() {
  std::ifstream in("/proc/meminfo");
  std::string name;
  uint64_t kib = 0;
  while (in >> name >> kib) {
    if (name == "MemAvailable:") return kib * 1024;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return unknown;
}

/// Page cache counts as used by the group, but goes when memory is wanted.
uint64_t reclaimable_in_group() {
  std::ifstream in("/sys/fs/cgroup/memory.stat");
  std::string name;
  uint64_t bytes = 0, sum = 0;
  while (in >> name >> bytes)
    if (name == "inactive_file" || name == "active_file") sum += bytes;
  return sum;
}

}  // namespace

uint64_t available_memory() {
  const uint64_t limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  uint64_t group = unknown;
  if (limit != unknown && used != unknown) {
    const uint64_t held = used - std::min(used, reclaimable_in_group());
    group = limit - std::min(limit, held);
  }
  return std::min(meminfo_available(), group);
}

uint64_t peak_resident_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return uint64_t(usage.ru_maxrss) * 1024;
}

}  // namespace chorus
