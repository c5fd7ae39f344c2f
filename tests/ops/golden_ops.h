#pragma once

// What the real MLX makes of single operations (tests/golden/data/ops/README.md), for anything that runs our ops.
#include <gtest/gtest.h>

#include "goldens.h"
#include "ops/backend.h"
#include "ops/random_ops.h"
#include "weights/safetensors.h"

namespace chorus::test {

/// Runs ops whose weights lie as in the files: reference/ or a backend. `out` fields are ignored.
class OpRunner {
 public:
  using Values = std::vector<double>;
  virtual ~OpRunner() = default;
  virtual std::string name() const = 0;
  /// Largest relative L2 error of a product whose inputs are rounded to int8, or 0: they are not.
  virtual double int8_error(const Matrix&) const { return 0; }
  virtual double kv_error() const { return 0; }  ///< of keys and values rounded to bf16

  virtual Values embedding(Embedding op) = 0;
  virtual Values rms_norm(RmsNorm op) = 0;
  virtual Values mat_mul(MatMul op) = 0;
  virtual Values rope(RopeAngles angles, RopeStore op) = 0;  ///< op.angles come from `angles`; there is no cache
  virtual std::pair<std::vector<int32_t>, Values> routing(Routing op) = 0;
  virtual Values expert_mlp(ExpertMlp op) = 0;
  /// Stores, then attends: kv_heads and head_dim are those of store.kv, memory is the runner's.
  virtual Values attention(RopeStore store, PagedAttention op, int64_t blocks) = 0;
};

class GoldenOps {
 public:
  explicit GoldenOps(const std::string& file) : file_(golden(path_of(file))) {}

  /// The test is to be skipped where this is not empty.
  static std::string missing(const std::string& file) {
    return golden(path_of(file)).empty() ? no_golden(path_of(file)) : "";
  }

  /// The tensor where it lies in the file; empty where there is none.
  Tensor stored(const std::string& name) const {
    const StoredTensor* t = file_.find(name);
    if (t == nullptr) return {};
    return {t->dtype.value(), Shape(std::span<const int64_t>(t->sizes)),
            const_cast<std::byte*>(file_.bytes(*t).data())};
  }
  /// A copy, aligned.
  Tensor tensor(Memory& memory, const std::string& name) const {
    const Tensor from = stored(name);
    if (from.empty()) {
      ADD_FAILURE() << "no golden tensor " << name;
      return {};
    }
    const Tensor to = memory.make(from.dtype(), from.shape());
    std::memcpy(to.raw(), from.raw(), from.bytes());
    return to;
  }
  Matrix matrix(const std::string& prefix, const Coded& coded, int64_t matrices, int64_t rows,
                int64_t columns) const {
    return {.coding = coded.coding,
            .bits = coded.bits,
            .group_size = coded.group_size,
            .matrices = matrices,
            .rows = rows,
            .columns = columns,
            .data = stored(prefix + ".wq"),
            .scales = stored(prefix + ".scales"),
            .quant_biases = stored(prefix + ".biases")};
  }

 private:
  static std::string path_of(const std::string& file) { return "ops/" + file + ".safetensors"; }

  SafetensorsFile file_;
};

inline std::vector<float> as_floats(const std::vector<double>& v) {
  return {v.begin(), v.end()};
}
inline std::vector<double> as_doubles(const Tensor& t) {
  std::vector<double> out;
  for (int64_t i = 0; i < t.elements(); ++i)
    out.push_back(
        dispatch_float(t.dtype(), [&]<typename T>(Type<T>) { return double(to_float(t.data<T>()[i])); }));
  return out;
}

/// Each compares one file of goldens with what the runner makes of it.
void expect_golden_quantised_products(OpRunner& runner);
void expect_golden_expert_products(OpRunner& runner);
void expect_golden_rope(OpRunner& runner);
void expect_golden_norms(OpRunner& runner);
void expect_golden_activation(OpRunner& runner);
void expect_golden_routing(OpRunner& runner);
void expect_golden_attention(OpRunner& runner);
void expect_golden_embedding(OpRunner& runner);

}  // namespace chorus::test
