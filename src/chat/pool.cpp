#include "chat/pool.h"

namespace chorus::jinja {
namespace {

// Gives the blocks back when the thread ends.
struct Cleaner {
  ~Cleaner() {
    for (PooledBlock*& first : pool_lists.first)
      while (first != nullptr) {
        PooledBlock* block = first;
        first = block->next;
        ::operator delete(block);
      }
  }
};

}  // namespace

void* fresh_block(size_t size_class) {
  thread_local const Cleaner cleaner;
  (void)cleaner;
  return ::operator new((size_class + 1) * pool_unit);
}

}  // namespace chorus::jinja
