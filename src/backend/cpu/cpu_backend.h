#pragma once

#include <memory>
#include <vector>

#include "backend/cpu/kernels.h"
#include "base/thread_pool.h"
#include "ops/backend.h"

namespace chorus::cpu {

enum class Precision {
  fast,   ///< int8 activations per 32 into quantised matrices, bf16 keys and values
  exact,  ///< f32 throughout
};

class CpuBackend : public Backend {
 public:
  /// `threads` 0: all that this process may use. Throws Fault::usage for a CHORUS_CPU that does not exist here.
  CpuBackend(Precision precision, int threads);
  ~CpuBackend() override;

  std::string_view name() const override { return name_; }
  ThreadPool& host_threads() override { return threads_; }

  Tensor allocate(DType dtype, Shape shape) override;
  void release(const Tensor& allocated) override;
  void upload(const Tensor& to, const void* from, size_t bytes) override;
  void download(void* to, const Tensor& from, size_t bytes) override;

  Linear place(std::span<const Linear> parts) override;
  ExpertLinear place(const ExpertLinear& experts) override;
  /// A copy as it is: a step reads only the rows of its tokens, and must not wait for the disk where the system
  /// has given the file's pages back.
  Matrix place_table(const Matrix& embedding) override;
  Tensor place(const Tensor& vector) override;
  size_t placed_bytes() const override { return placed_bytes_; }

  /// block_tokens must be 16, head_dim a multiple of 16.
  KvLayer make_kv_layer(int64_t blocks, int64_t kv_heads, int64_t head_dim, int64_t block_tokens) override;
  size_t kv_element_bytes() const override { return precision_ == Precision::fast ? 2 : 4; }
  DType activation_dtype() const override { return DType::f32; }

  double measure_mac_rate() override;

  using Backend::run;  // the host draws
  void run(const Embedding& op) override;
  void run(const RmsNorm& op) override;
  void run(const MatMul& op) override;
  void run(const RopeAngles& op) override;
  void run(const RopeStore& op) override;
  void run(const PagedAttention& op) override;
  void run(const Routing& op) override;
  void run(const ExpertMlp& op) override;
  void run(const Rows& op) override;

 private:
  struct Memory;

  bool fast() const { return precision_ == Precision::fast; }
  Matrix place_panels(std::span<const Matrix> parts);
  Tensor copy(const Tensor& from);
  void place_panel(const Matrix& part, int64_t matrix, int64_t first_row, const PanelFormat& format,
                   std::byte* panel) const;

  /// Room for the inputs of `tokens` tokens; null pointers while measuring.
  std::span<TokenInputs> take_inputs(const float* x, int64_t tokens, const PanelFormat& format, bool rounded);
  void quantise(std::span<TokenInputs> inputs, const PanelFormat& format);
  bool rounds_inputs(const PanelFormat& format) const { return fast() && format.quantised(); }
  void multiply(const MatMul& op, bool rounded);
  void product(bool rounded, const PanelProduct& p) const {
    (rounded ? kernels_.panel_fast : kernels_.panel_exact)(p);
  }

  template <typename T>
  void rope_store(const RopeStore& op);

  const Kernels& kernels_;
  Precision precision_;
  ThreadPool threads_;
  std::string name_;
  std::vector<Memory> memory_;
  size_t placed_bytes_ = 0;
};

/// The format of a placed matrix's panels.
PanelFormat format_of(const Matrix& placed);
inline const std::byte* panel_of(const Matrix& placed, const PanelFormat& format, int64_t matrix, int64_t panel) {
  return static_cast<const std::byte*>(placed.data.raw()) +
         (matrix * ((placed.rows + panel_rows - 1) / panel_rows) + panel) * format.panel_bytes();
}

}  // namespace chorus::cpu
