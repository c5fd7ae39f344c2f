#pragma once

#include <span>
#include <string_view>
#include <utility>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "ops/attention.h"
#include "ops/draw.h"
#include "ops/embedding.h"
#include "ops/expert_mlp.h"
#include "ops/mat_mul.h"
#include "ops/qkv_rope_store.h"
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
  /// Memory of the host that ops write to; the host reads it after synchronize(). Given back by release().
  virtual Tensor allocate_on_host(DType dtype, Shape shape) { return allocate(dtype, shape); }
  /// Waits for all that was run; throws what went wrong in it.
  virtual void synchronize() {}
  /// Runs `body` and returns its result. Calls with equal keys must run the same ops on the same memory, whatever is in
  /// it, and neither upload nor download: a backend may record what a body does, and repeat that.
  virtual Tensor replay(std::span<const int64_t> key, FunctionRef<Tensor()> body) {
    static_cast<void>(key);
    return body();
  }

  /// Copies weights into the form that the backend's kernels read. Parts of one Linear are stacked along the outputs
  /// (q, k and v become one matrix), in order; either all of them or none have a bias.
  virtual Linear place(std::span<const Linear> parts) = 0;
  virtual ExpertLinear place(const ExpertLinear& experts) = 0;
  /// Both of an ExpertMlp, which a backend may need to hold alike.
  virtual std::pair<ExpertLinear, ExpertLinear> place_gate_up(const ExpertLinear& gate, const ExpertLinear& up) {
    return {place(gate), place(up)};
  }
  virtual Matrix place_table(const Matrix& embedding) = 0;
  virtual Tensor place(const Tensor& vector) = 0;  ///< as f32
  virtual size_t placed_bytes() const = 0;

  virtual KvLayer make_kv_layer(int64_t blocks, int64_t kv_heads, int64_t head_dim, int64_t block_tokens) = 0;
  virtual size_t kv_element_bytes() const = 0;
  /// Tokens of a step that use the weights well, and whose workspace is small beside them.
  virtual int64_t usual_step_tokens() const { return 512; }
  virtual DType activation_dtype() const = 0;  ///< of the residual stream and of what products give
  virtual DType input_dtype() const { return activation_dtype(); }  ///< of what products and attention take

  /// Temporaries of a step, results of ops and scratch alike. While it is an Arena without memory, run() only takes
  /// what it would need.
  Arena& workspace() { return workspace_; }
  void use_workspace(const Arena& workspace) { workspace_ = workspace; }

  /// While there is one, Ops has every op timed.
  OpTimer* timer() const { return timer_; }
  void use_timer(OpTimer* timer) { timer_ = timer; }
  /// Multiply-adds per second of the arithmetic that large matrices use, when nothing else limits it: the roof.
  virtual double measure_mac_rate() = 0;
  struct Bandwidth {
    double read = 0, copy = 0;  ///< bytes per second; of a copy, those read and those written
  };
  /// What this backend's memory gives at most; 0: it is the host's.
  virtual Bandwidth measure_bandwidth() { return {}; }
  /// Bytes that are taken at present where the weights lie, by anything; 0: it is the host's.
  virtual size_t used_bytes() { return 0; }
  /// How long `work`, which runs ops, takes; waits for it.
  virtual double seconds_of(FunctionRef<void()> work);

  // One line per op: a backend that lacks one does not compile.
  virtual void run(const Embedding& op) = 0;
  virtual void run(const RmsNorm& op) = 0;
  virtual void run(const MatMul& op) = 0;
  virtual void run(const RopeAngles& op) = 0;
  virtual void run(const RopeStore& op) = 0;
  virtual void run(const PagedAttention& op) = 0;
  virtual void run(const Routing& op) = 0;
  virtual void run(const ExpertMlp& op) = 0;
  virtual void run(const Rows& op) = 0;
  /// As the two ops that it is made of; a backend may have a kernel for both.
  virtual void run(const QkvRopeStore& op);
  /// The one op that a backend may lack: where draws() is false, the host draws from the logits.
  virtual bool draws() const { return false; }
  virtual void run(const Draw& op);

 protected:
  Arena workspace_;

 private:
  OpTimer* timer_ = nullptr;
};

}  // namespace chorus
