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

void CpuBackend::run(const Rope& op) {
  if (workspace().measuring()) return;
  const int64_t heads = op.x.size(1), dim = op.x.size(2), half = dim / 2;
  threads_.for_each(op.x.size(0), [&](int64_t t) {
    const float* cos = op.angles.row<float>(t).data();
    const float* sin = cos + half;
    for (int64_t n = 0; n < heads; ++n) {
      const float* x = op.x.data<float>() + t * op.x_stride + n * dim;
      float* out = op.out.data<float>() + (t * heads + n) * dim;
      for (int64_t i = 0; i < half; ++i) {
        out[i] = x[i] * cos[i] - x[i + half] * sin[i];
        out[i + half] = x[i + half] * cos[i] + x[i] * sin[i];
      }
    }
  });
}

void CpuBackend::run(const Routing& op) {
  if (workspace().measuring()) return;
  const int64_t experts = op.logits.size(1), chosen = op.experts.size(1);
  threads_.for_each(op.logits.size(0), [&](int64_t t) {
    const float* logits = op.logits.data<float>() + t * experts;
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

void CpuBackend::run(const Add& op) {
  if (workspace().measuring()) return;
  const float *a = op.a.data<float>(), *b = op.b.data<float>();
  float* out = op.out.data<float>();
  const int64_t row = op.a.row_size();
  threads_.for_each(op.a.size(0), [&](int64_t t) {
    for (int64_t i = t * row; i < (t + 1) * row; ++i) out[i] = a[i] + b[i];
  });
}

void CpuBackend::run(const Rows& op) {
  if (workspace().measuring()) return;
  const int64_t row = op.x.size(1);
  for (int64_t i = 0; i < op.index.size(0); ++i)
    std::copy_n(op.x.data<float>() + op.index.data<int32_t>()[i] * row, row, op.out.data<float>() + i * row);
}

}  // namespace chorus::cpu
