#pragma once

#include <vector>

#include "ops/backend.h"

namespace chorus::reference {

/// What every op means, in doubles and in the plainest way: one loop per index of the formula. Backends are tested
/// against these. Tensors are f32 in host memory, matrices lie as in the files (Layout::rows); results have the
/// shape of op.out, which is not written. (ExpertMlp's next norm is rms_norm of what expert_mlp gives.)
using Values = std::vector<double>;

Values embedding(const Embedding& op);
Values rms_norm(const RmsNorm& op);
Values mat_mul(const MatMul& op);
Values rope_angles(const RopeAngles& op);
Values expert_mlp(const ExpertMlp& op);
Values rows(const Rows& op);

struct Routed {
  Values normed;                 ///< [T, H]
  std::vector<int32_t> experts;  ///< [T, K]
  Values weights;                ///< [T, K]
};
Routed routing(const Routing& op);

/// The cache of the reference: [slot][kv head][dim], whatever the backend's blocks look like.
struct KvValues {
  Values keys, values;
};
Values rope_store(const RopeStore& op, KvValues& kv);
Values qkv_rope_store(const QkvRopeStore& op, KvValues& kv);
Values paged_attention(const PagedAttention& op, const KvValues& kv);

}  // namespace chorus::reference
