// The ops between the large ones: a loop over tokens each.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "ops/dequantize.h"

namespace chorus::cpu {

void CpuBackend::run(const Embedding& op) {
  if (workspace().measuring()) return;
  threads_.for_each(op.token_ids.size(0), [&](int64_t t) {
    dequantize_row(op.table, 0, op.token_ids.data<int32_t>()[t], op.out.row<float>(t));
  });
}

void CpuBackend::run(const RmsNorm& op) {
  if (workspace().measuring()) return;
  threads_.for_each(op.x.size(0), [&](int64_t t) {
    kernels_.rms_norm(op.x.row<float>(t).data(), op.weight.data<float>(), op.eps, op.x.size(1),
                      op.out.row<float>(t).data());
  });
}

void CpuBackend::run(const RopeAngles& op) {
  if (workspace().measuring()) return;
  const int64_t half = op.frequencies.size(0);
  threads_.for_each(op.positions.size(0), [&](int64_t t) {
    float* out = op.out.row<float>(t).data();
    for (int64_t i = 0; i < half; ++i) {
      const double angle = double(op.positions.data<int32_t>()[t]) * double(op.frequencies.data<float>()[i]);
      out[i] = float(double(op.scale) * std::cos(angle));
      out[half + i] = float(double(op.scale) * std::sin(angle));
    }
  });
}

void CpuBackend::run(const Routing& op) {
  const int64_t tokens = op.x.size(0), experts = op.router.outputs(), chosen = op.experts.size(1);
  const Arena::Scope scope(workspace());
  const Tensor all_logits = workspace().tensor(DType::f32, {tokens, experts});
  run(RmsNorm{.x = op.x, .weight = op.norm, .eps = op.eps, .out = op.normed});
  multiply({.x = op.normed, .linear = op.router, .out = all_logits}, false);
  if (workspace().measuring()) return;
  threads_.for_each(tokens, [&](int64_t t) {
    const float* logits = all_logits.row<float>(t).data();
    int32_t* ids = op.experts.data<int32_t>() + t * chosen;
    float* weights = op.weights.data<float>() + t * chosen;
    // Insertion into the K best; an equal logit stays behind the lower expert that was there before.
    int64_t n = 0;
    for (int64_t e = 0; e < experts; ++e) {
      if (n == chosen && !(logits[e] > logits[ids[n - 1]])) continue;
      int64_t at = n < chosen ? n++ : n - 1;
      for (; at > 0 && logits[e] > logits[ids[at - 1]]; --at) ids[at] = ids[at - 1];
      ids[at] = int32_t(e);
    }
    float sum = 0;
    for (int64_t j = 0; j < chosen; ++j) sum += weights[j] = std::exp(logits[ids[j]] - logits[ids[0]]);
    for (int64_t j = 0; j < chosen; ++j) weights[j] /= sum;
  });
}

void CpuBackend::run(const Rows& op) {
  if (workspace().measuring()) return;
  const int64_t row = op.x.size(1);
  for (int64_t i = 0; i < op.index.size(0); ++i)
    std::copy_n(op.x.data<float>() + op.index.data<int32_t>()[i] * row, row, op.out.data<float>() + i * row);
}

}  // namespace chorus::cpu
