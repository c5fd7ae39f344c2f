#include "tensor/tensor.h"

namespace chorus {

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::bf16: return "bf16";
    case DType::f16: return "f16";
    case DType::i32: return "i32";
    case DType::u32: return "u32";
    case DType::i8: return "i8";
    case DType::u8: return "u8";
  }
  return "?";
}

std::string Shape::text() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += (i > 0 ? ", " : "") + std::to_string(sizes_[size_t(i)]);
  return text + "]";
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  assert(0 <= begin && begin <= end && end <= size(0));
  std::array<int64_t, Shape::max_rank> sizes{};
  for (int i = 0; i < shape_.rank(); ++i) sizes[size_t(i)] = shape_[i];
  const size_t skipped = size_t(begin * row_size()) * size_of(dtype_);
  sizes[0] = end - begin;
  return {dtype_, Shape(std::span<const int64_t>(sizes.data(), size_t(shape_.rank()))),
          static_cast<std::byte*>(data_) + skipped};
}

}  // namespace chorus
