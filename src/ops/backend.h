#pragma once

#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "ops/add.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/expert_mlp.h"
#include "ops/mat_mul.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/routing.h"
#include "ops/rows.h"
#include "tensor/arena.h"

namespace chorus {

class OpTimer;

/// Runs checked ops, in order, on one device, and owns that device's memory: weights, kv blocks, workspace.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  /// Threads of the host, for what is done per row between steps.
  virtual ThreadPool& host_threads() = 0;

  /// Memory that lives as long as the backend, or until it is released. Throws Fault::memory.
  virtual Tensor allocate(DType dtype, Shape shape) = 0;
  virtual void release(const Tensor& allocated) = 0;
  virtual void upload(const Tensor& to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const Tensor& from, size_t bytes) = 0;

  /// Copies weights into the form that the backend's kernels read. Parts of one Linear are stacked along the outputs
  /// (q, k and v become one matrix), in order; either all of them or none have a bias.
  virtual Linear place(std::span<const Linear> parts) = 0;
  virtual ExpertLinear place(const ExpertLinear& experts) = 0;
  virtual Matrix place_table(const Matrix& embedding) = 0;
  virtual Tensor place(const Tensor& vector) = 0;  ///< as f32
  virtual size_t placed_bytes() const = 0;

  virtual KvLayer make_kv_layer(int64_t blocks, int64_t kv_heads, int64_t head_dim, int64_t block_tokens) = 0;
  virtual size_t kv_element_bytes() const = 0;
  virtual DType activation_dtype() const = 0;

  /// Temporaries of a step, results of ops and scratch alike. While it is an Arena without memory, run() only takes
  /// what it would need.
  Arena& workspace() { return workspace_; }
  void use_workspace(const Arena& workspace) { workspace_ = workspace; }

  /// While there is one, Ops has every op timed.
  OpTimer* timer() const { return timer_; }
  void use_timer(OpTimer* timer) { timer_ = timer; }
  /// Multiply-adds per second of the arithmetic that large matrices use, when nothing else limits it: the roof.
  virtual double measure_mac_rate() = 0;

  // One line per op: a backend that lacks one does not compile.
  virtual void run(const Embedding& op) = 0;
  virtual void run(const RmsNorm& op) = 0;
  virtual void run(const MatMul& op) = 0;
  virtual void run(const RopeAngles& op) = 0;
  virtual void run(const Rope& op) = 0;
  virtual void run(const KvStore& op) = 0;
  virtual void run(const PagedAttention& op) = 0;
  virtual void run(const Routing& op) = 0;
  virtual void run(const ExpertMlp& op) = 0;
  virtual void run(const Add& op) = 0;
  virtual void run(const Rows& op) = 0;

 protected:
  Arena workspace_;

 private:
  OpTimer* timer_ = nullptr;
};

}  // namespace chorus
