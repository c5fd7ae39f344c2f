#pragma once

#include "ops/op_timer.h"

namespace chorus {

/// What a model calls: allocates the result in the backend's workspace, checks the op, runs it.
class Ops {
 public:
  explicit Ops(Backend& backend) : backend_(backend) {}

  Backend& backend() { return backend_; }
  /// Results made inside the scope are gone at its end, except those made before it.
  Arena::Scope scope() { return Arena::Scope(backend_.workspace()); }

  Tensor embedding(const Matrix& table, const Tensor& token_ids);                     // [T, H]
  Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps);                  // like x
  Tensor linear(const Tensor& x, const Linear& w);                                    // [T, O]
  void add_linear(const Tensor& to, const Tensor& x, const Linear& w);                // to += linear(x, w)
  Tensor rope_angles(const Tensor& positions, const Tensor& frequencies, float scale);  // [T, 2, D/2]
  /// The rotated q [T, N, D] of w(x); k, rotated, and v go into the cache.
  Tensor qkv_rope_store(const Tensor& x, const Linear& w, const Tensor& angles, const Tensor& slots,
                        const KvLayer& kv);
  Tensor paged_attention(PagedAttention op);                                          // like q; op.out is made here
  struct Routed {
    Tensor normed;            // like x
    Tensor experts, weights;  // [T, K]
  };
  Routed norm_and_route(const Tensor& x, const Tensor& norm, float eps, const Linear& router,
                        int64_t experts_per_token);
  void add_expert_mlp(const Tensor& to, ExpertMlp op);  // to += the experts; with next_norm, next_normed = its norm
  Tensor rows(const Tensor& x, const Tensor& index);                                  // [L, H]
  void draw(const Draw& op) { run(op); }

 private:
  Tensor make(Shape shape) { return backend_.workspace().tensor(backend_.activation_dtype(), shape); }
  Tensor make_input(Shape shape) { return backend_.workspace().tensor(backend_.input_dtype(), shape); }
  template <typename Op>
  void run(const Op& op) {
    check(op);
    OpTimer* const timer = backend_.timer();
    if (timer != nullptr && !backend_.workspace().measuring()) timer->run(backend_, op);
    else backend_.run(op);
  }

  Backend& backend_;
};

}  // namespace chorus
