#pragma once

#include <cmath>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "ops/rope.h"
#include "ops/routing.h"

namespace chorus::test {

/// Owns what the tensors of a test point to.
class Memory {
 public:
  /// `shift`: bytes past an aligned address; model files align nothing.
  Tensor make(DType dtype, Shape shape, size_t shift = 0) {
    buffers_.emplace_back(size_t(shape.elements()) * size_of(dtype) + shift);
    return {dtype, shape, buffers_.back().data() + shift};
  }
  template <typename T>
  Tensor copy(const std::vector<T>& values, Shape shape) {
    const Tensor t = make(dtype_of<T>(), shape);
    if (!values.empty()) std::memcpy(t.raw(), values.data(), t.bytes());
    return t;
  }

 private:
  std::deque<std::vector<std::byte>> buffers_;
};

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int64_t below(int64_t n) { return int64_t(engine_() % uint64_t(n)); }
  float uniform(float low, float high) { return low + (high - low) * float(engine_() >> 8) * 0x1p-24f; }
  float normal() {  // a sum of uniform values: the same on every standard library
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += uniform(-1, 1);
    return sum * 0.866f;
  }
  Tensor normals(Memory& memory, Shape shape) {
    const Tensor t = memory.make(DType::f32, shape);
    for (float& v : t.values<float>()) v = normal();
    return t;
  }
  template <typename T>
  void shuffle(std::vector<T>& v) {
    for (size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[size_t(below(int64_t(i)))]);
  }

 private:
  std::mt19937 engine_;
};

/// How a random matrix is coded. `dtype`: of the elements (dense) or of scales and quant_biases (affine).
struct Coded {
  Coding coding;
  int bits = 0, group_size = 0;
  DType dtype = DType::bf16;

  std::string name() const {
    switch (coding) {
      case Coding::dense:
        return "dense " + std::string(name_of(dtype));
      case Coding::affine:
        return "affine " + std::to_string(bits) + " bits, groups of " + std::to_string(group_size) + ", scales " +
               std::string(name_of(dtype));
      case Coding::mxfp4:
        return "mxfp4";
      case Coding::mxfp8:
        return "mxfp8";
      case Coding::nvfp4:
        return "nvfp4";
    }
    return "?";
  }
};
constexpr Coded mxfp4{Coding::mxfp4, 4, 32}, mxfp8{Coding::mxfp8, 8, 32}, nvfp4{Coding::nvfp4, 4, 16};
constexpr Coded affine4{Coding::affine, 4, 64}, affine8{Coding::affine, 8, 64};
constexpr Coded dense_bf16{Coding::dense}, dense_f16{Coding::dense, 0, 0, DType::f16},
    dense_f32{Coding::dense, 0, 0, DType::f32};

/// Every coding that a model file may have.
inline std::vector<Coded> all_codings() {
  std::vector<Coded> all = {mxfp4, mxfp8, nvfp4, dense_bf16, dense_f16, dense_f32};
  for (int bits = 2; bits <= 8; ++bits)
    for (const int group : {32, 64, 128})
      for (const DType scales : {DType::bf16, DType::f16, DType::f32})
        all.push_back({Coding::affine, bits, group, scales});
  return all;
}

inline void store_float(const Tensor& t, int64_t i, float v) {
  dispatch_float(t.dtype(), [&]<typename T>(Type<T>) {
    const T value = from_float<T>(v);
    std::memcpy(static_cast<std::byte*>(t.raw()) + size_t(i) * sizeof(T), &value, sizeof(T));
  });
}

inline Tensor random_floats(Memory& memory, Random& random, DType dtype, Shape shape) {
  const Tensor t = memory.make(dtype, shape, 1);
  for (int64_t i = 0; i < t.elements(); ++i) store_float(t, i, random.normal());
  return t;
}

/// Random codes under scales like those of real weights, at an odd address.
inline Matrix random_matrix(Memory& memory, Random& random, const Coded& c, int64_t matrices, int64_t rows,
                            int64_t columns) {
  Matrix m{.coding = c.coding,
           .bits = c.bits,
           .group_size = c.group_size,
           .matrices = matrices,
           .rows = rows,
           .columns = columns,
           .data = {},
           .scales = {},
           .quant_biases = {}};
  if (c.coding == Coding::dense) {
    m.data = random_floats(memory, random, c.dtype, {matrices, rows, columns});
    return m;
  }
  m.data = memory.make(DType::u32, {matrices, rows, columns * c.bits / 32}, 1);
  for (size_t i = 0; i < m.data.bytes(); ++i) static_cast<uint8_t*>(m.data.raw())[i] = uint8_t(random.below(256));
  const Shape groups{matrices, rows, columns / c.group_size};
  if (c.coding == Coding::affine) {
    m.scales = memory.make(c.dtype, groups, 1);
    m.quant_biases = memory.make(c.dtype, groups, 1);
    const float largest = float((1 << c.bits) - 1);
    for (int64_t i = 0; i < groups.elements(); ++i) {
      const float scale = random.uniform(0.5f, 1.5f) / largest * (random.below(2) == 0 ? 1.f : -1.f);
      store_float(m.scales, i, scale);
      store_float(m.quant_biases, i, -scale * largest * random.uniform(0.4f, 0.6f));
    }
    return m;
  }
  // Exponents around 2^-6; sign bits of E4M3 scales stay clear, as quantisers leave them.
  const int64_t least = c.coding == Coding::nvfp4 ? 8 : c.coding == Coding::mxfp8 ? 113 : 119;
  const int64_t span = c.coding == Coding::nvfp4 ? 40 : 5;
  m.scales = memory.make(DType::u8, groups, 1);
  for (size_t i = 0; i < m.scales.bytes(); ++i)
    static_cast<uint8_t*>(m.scales.raw())[i] = uint8_t(least + random.below(span));
  return m;
}

inline Linear random_linear(Memory& memory, Random& random, const Coded& c, int64_t outputs, int64_t inputs,
                            bool bias) {
  Linear linear{.weight = random_matrix(memory, random, c, 1, outputs, inputs), .bias = {}};
  if (bias) linear.bias = random_floats(memory, random, DType::bf16, {outputs});
  return linear;
}

inline ExpertLinear random_experts(Memory& memory, Random& random, const Coded& c, int64_t experts,
                                   int64_t outputs, int64_t inputs, bool bias) {
  ExpertLinear linear{.weight = random_matrix(memory, random, c, experts, outputs, inputs), .bias = {}};
  if (bias) linear.bias = random_floats(memory, random, DType::bf16, {experts, outputs});
  return linear;
}

/// Puts keys and values [T, G, D] into the cache as they are, rotated by nothing.
inline RopeStore store_op(Memory& memory, const KvLayer& kv, const std::vector<float>& k, const std::vector<float>& v,
                          const std::vector<int32_t>& slots) {
  const auto tokens = int64_t(slots.size());
  const int64_t dim = kv.head_dim, row = kv.kv_heads * dim;
  std::vector<float> qkv, angles;
  for (int64_t t = 0; t < tokens; ++t) {
    qkv.insert(qkv.end(), k.begin() + t * row, k.begin() + (t + 1) * row);
    qkv.insert(qkv.end(), v.begin() + t * row, v.begin() + (t + 1) * row);
    angles.insert(angles.end(), size_t(dim / 2), 1.f);
    angles.insert(angles.end(), size_t(dim / 2), 0.f);
  }
  return {.qkv = memory.copy(qkv, {tokens, 2 * kv.kv_heads, dim}),
          .angles = memory.copy(angles, {tokens, 2, dim / 2}),
          .slots = memory.copy(slots, {tokens}),
          .kv = kv,
          .out = memory.make(DType::f32, {tokens, 0, dim})};
}

/// Rotates queries [T, N, D] alone.
inline RopeStore rotate_op(const Tensor& q, const Tensor& angles, const Tensor& slots) {
  return {.qkv = q,
          .angles = angles,
          .slots = slots,
          .kv = {.keys = {}, .values = {}, .kv_heads = 0, .head_dim = q.size(2), .block_tokens = 16},
          .out = {}};
}

/// Routing whose router gives token t its row of `logits` (times the same number for all, 1 but for roundings).
inline Routing routing_of_logits(Memory& memory, const Tensor& logits, int64_t chosen) {
  const int64_t tokens = logits.size(0), experts = logits.size(1);
  constexpr float eps = 1e-5f;
  Routing op{.x = memory.make(DType::f32, {tokens, tokens}),
             .norm = memory.make(DType::f32, {tokens}),
             .eps = eps,
             .router = {.weight = {.rows = experts,
                                   .columns = tokens,
                                   .data = memory.make(DType::f32, {1, experts, tokens}),
                                   .scales = {},
                                   .quant_biases = {}},
                        .bias = {}},
             .normed = memory.make(DType::f32, {tokens, tokens}),
             .experts = memory.make(DType::i32, {tokens, chosen}),
             .weights = memory.make(DType::f32, {tokens, chosen})};
  for (int64_t t = 0; t < tokens; ++t) {
    op.x.data<float>()[t * tokens + t] = 1;
    op.norm.data<float>()[t] = std::sqrt(1 / float(tokens) + eps);
    for (int64_t e = 0; e < experts; ++e)
      op.router.weight.data.data<float>()[e * tokens + t] = logits.row<float>(t)[size_t(e)];
  }
  return op;
}

/// |a - b| / |b| over all elements; infinite where the sizes differ or something is not a number.
inline double relative_l2(std::span<const float> a, std::span<const double> b) {
  if (a.size() != b.size()) return INFINITY;
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    size += b[i] * b[i];
  }
  return std::isfinite(difference) ? (difference == 0 ? 0 : std::sqrt(difference / size)) : INFINITY;
}

}  // namespace chorus::test
