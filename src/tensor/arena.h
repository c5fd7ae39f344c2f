#pragma once

#include <cstddef>
#include <vector>

#include "tensor/tensor.h"

namespace chorus {

/// Memory for what lives no longer than a step: handed out front to back, given back by going back to a mark.
/// Without memory of its own (the state after construction) it only measures: it hands out null and remembers how
/// much a run would need, which is how the workspace is sized before the first step.
class Arena {
 public:
  static constexpr size_t alignment = 256;

  Arena() = default;
  Arena(void* memory, size_t bytes) : memory_(static_cast<std::byte*>(memory)), capacity_(bytes) {}

  /// Throws Fault::internal if what was measured does not hold the request: the plan was wrong.
  void* take(size_t bytes);
  Tensor tensor(DType dtype, Shape shape) {
    return {dtype, shape, take(size_t(shape.elements()) * size_of(dtype))};
  }
  template <typename T>
  T* array(int64_t n) {
    return static_cast<T*>(take(size_t(n) * sizeof(T)));
  }

  size_t mark() const { return used_; }
  void back_to(size_t mark) { used_ = mark; }

  bool measuring() const { return memory_ == nullptr; }
  size_t peak() const { return peak_; }

  /// What was taken since construction of the scope is free again at its end.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
    ~Scope() { arena_.back_to(mark_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    size_t mark_;
  };

 private:
  std::byte* memory_ = nullptr;
  size_t capacity_ = 0, used_ = 0, peak_ = 0;
};

}  // namespace chorus
