#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <initializer_list>
#include <span>
#include <string>

#include "tensor/dtype.h"

namespace chorus {

/// The sizes of a tensor, at most four; no memory of its own, because a step allocates none.
class Shape {
 public:
  static constexpr int max_rank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : rank_(int(sizes.size())) {
    assert(rank_ <= max_rank);
    std::copy(sizes.begin(), sizes.end(), sizes_.begin());
  }
  explicit Shape(std::span<const int64_t> sizes) : rank_(int(sizes.size())) {
    assert(rank_ <= max_rank);
    std::copy(sizes.begin(), sizes.end(), sizes_.begin());
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return sizes_[size_t(i < 0 ? rank_ + i : i)]; }
  int64_t elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= sizes_[size_t(i)];
    return n;
  }
  bool operator==(const Shape& other) const {
    return rank_ == other.rank_ && std::equal(sizes_.begin(), sizes_.begin() + rank_, other.sizes_.begin());
  }
  /// "[32, 2880]"
  std::string text() const;

 private:
  std::array<int64_t, max_rank> sizes_{};
  int rank_ = 0;
};

/// A contiguous array in the memory of one device, row-major. A view: the memory belongs to a mapped file, a Buffer
/// or an Arena, and outlives the tensor.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape, void* data) : dtype_(dtype), shape_(shape), data_(data) {}

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t size(int i) const { return shape_[i]; }
  int64_t elements() const { return shape_.elements(); }
  size_t bytes() const { return empty() ? 0 : size_t(elements()) * size_of(dtype_); }
  /// Absent: an optional tensor (a bias, sinks) that the model does not have.
  bool empty() const { return shape_.rank() == 0; }

  /// Elements per first index.
  int64_t row_size() const { return size(0) == 0 ? 0 : elements() / size(0); }

  void* raw() const { return data_; }
  template <typename T>
  T* data() const {
    assert(dtype_of<T>() == dtype_);
    return static_cast<T*>(data_);
  }
  /// All elements, in host memory.
  template <typename T>
  std::span<T> values() const {
    return {data<T>(), size_t(elements())};
  }
  /// The elements of first index i, in host memory.
  template <typename T>
  std::span<T> row(int64_t i) const {
    return {data<T>() + i * row_size(), size_t(row_size())};
  }

  /// The same elements under another shape.
  Tensor view(Shape shape) const {
    assert(shape.elements() == elements());
    return {dtype_, shape, data_};
  }
  /// First indices [begin, end).
  Tensor rows(int64_t begin, int64_t end) const;

 private:
  DType dtype_ = DType::f32;
  Shape shape_;
  void* data_ = nullptr;
};

/// Calls f(Type<float>{}), f(Type<bf16>{}) or f(Type<f16>{}) for the tensor's element type.
template <typename F>
decltype(auto) dispatch_float(DType dtype, F&& f) {
  assert(is_float(dtype));
  switch (dtype) {
    case DType::bf16: return f(Type<bf16>{});
    case DType::f16: return f(Type<f16>{});
    default: return f(Type<float>{});
  }
}

}  // namespace chorus
