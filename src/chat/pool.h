#pragma once

#include <cstddef>

namespace chorus::jinja {

// Memory for the many small, short-lived objects of a rendering, which took a third of its time in malloc. What a
// thread frees it keeps for its next objects of that size. Blocks come from operator new, so that any thread may
// free them. Under the address sanitizer every block is malloc's, for its checks.

void* pool_allocate(size_t bytes);
void pool_free(void* block, size_t bytes) noexcept;

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
