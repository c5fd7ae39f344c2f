#include "chat/pool.h"

#include <cstdint>
#include <new>

namespace chorus::jinja {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool pooled = false;
#elif defined(__has_feature)
constexpr bool pooled = !__has_feature(address_sanitizer);
#else
constexpr bool pooled = true;
#endif

constexpr size_t unit = 16, classes = 16;  // blocks of up to 256 bytes
constexpr uint32_t max_waiting = 256;      // of one size: 0.5 MB per thread at most

struct Waiting {
  void* next;
};
struct Lists {
  Waiting* first[classes];
  uint32_t count[classes];
};
thread_local constinit Lists lists{};

// Gives the blocks back when the thread ends.
struct Cleaner {
  ~Cleaner() {
    for (size_t c = 0; c < classes; ++c)
      while (lists.first[c] != nullptr) {
        Waiting* block = lists.first[c];
        lists.first[c] = static_cast<Waiting*>(block->next);
        ::operator delete(block);
      }
  }
};

void* fresh(size_t c) {
  thread_local const Cleaner cleaner;
  (void)cleaner;
  return ::operator new((c + 1) * unit);
}

}  // namespace

void* pool_allocate(size_t bytes) {
  const size_t c = (bytes - 1) / unit;
  if (!pooled || c >= classes) return ::operator new(bytes);
  Waiting* block = lists.first[c];
  if (block == nullptr) return fresh(c);
  lists.first[c] = static_cast<Waiting*>(block->next);
  --lists.count[c];
  return block;
}

void pool_free(void* block, size_t bytes) noexcept {
  const size_t c = (bytes - 1) / unit;
  if (!pooled || c >= classes || lists.count[c] >= max_waiting) {
    ::operator delete(block);
    return;
  }
  lists.first[c] = new (block) Waiting{lists.first[c]};
  ++lists.count[c];
}

}  // namespace chorus::jinja
