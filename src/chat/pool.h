#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace chorus::jinja {

// Memory for the many small, short-lived objects of a rendering, which took a third of its time in malloc. What a
// thread frees it keeps for its next objects of that size. Blocks come from operator new, so that any thread may
// free them. Under the address sanitizer every block is malloc's, for its checks.

#if defined(__SANITIZE_ADDRESS__)
constexpr bool pooled = false;
#elif defined(__has_feature)
constexpr bool pooled = !__has_feature(address_sanitizer);
#else
constexpr bool pooled = true;
#endif

constexpr size_t pool_unit = 16, pool_classes = 16;  // blocks of up to 256 bytes
constexpr uint32_t max_pooled = 256;                 // of one size: 0.5 MB per thread at most

struct PooledBlock {
  PooledBlock* next;
};
struct PoolLists {
  PooledBlock* first[pool_classes];
  uint32_t count[pool_classes];
};
inline thread_local constinit PoolLists pool_lists{};
void* fresh_block(size_t size_class);

inline void* pool_allocate(size_t bytes) {
  const size_t c = (bytes - 1) / pool_unit;
  if (!pooled || c >= pool_classes) return ::operator new(bytes);
  PooledBlock* block = pool_lists.first[c];
  if (block == nullptr) return fresh_block(c);
  pool_lists.first[c] = block->next;
  --pool_lists.count[c];
  return block;
}

inline void pool_free(void* block, size_t bytes) noexcept {
  const size_t c = (bytes - 1) / pool_unit;
  if (!pooled || c >= pool_classes || pool_lists.count[c] >= max_pooled) {
    ::operator delete(block);
    return;
  }
  pool_lists.first[c] = new (block) PooledBlock{pool_lists.first[c]};
  ++pool_lists.count[c];
}

template <typename T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <typename U>
  PoolAllocator(const PoolAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(pool_allocate(n * sizeof(T))); }
  void deallocate(T* block, size_t n) noexcept { pool_free(block, n * sizeof(T)); }
  bool operator==(const PoolAllocator&) const = default;
};

}  // namespace chorus::jinja
