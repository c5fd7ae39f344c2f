// The product for q, k and v whose results are rotated and stored by the threads that have them. For heads of 64
// dimensions: a head is a panel, and a pair of a rotation are rows d and d + 32 of it. Other heads, and many
// tokens, take two kernels.
#include "backend/cuda/dense_product.cuh"
#include "backend/cuda/kv_layout.h"

namespace chorus::cuda {
namespace {

constexpr int head_dim = panel_rows, half = head_dim / 2;
/// By measurement: beyond these the angles and the stores, two bytes at a time, take longer than another kernel.
constexpr int64_t most_tokens = 32;
static_assert(half == partner_rows);

struct RopeStoreTargets {
  const float* angles;  ///< [tokens, 2, half]
  const int32_t* slots;
  FloatOut q;
  uint16_t *keys, *values;
  int heads, kv_heads;
};

template <int n_tokens>
struct QkvProduct : DenseProduct<n_tokens> {
  RopeStoreTargets to;

  /// A row of a panel: dimension `d` of head `n`.
  struct Row {
    int n, d;
    float bias, partner_bias;
  };
  /// What a token's rotation and its place take.
  struct Angle {
    float cosine, sine;  ///< the sine with the sign that the row's partner has
    int slot;
  };

  __device__ Row row(int panel, int d) const {
    const auto bias_at = [&](int r) {
      return this->bias != nullptr && panel < this->f.panels() ? this->bias[panel * head_dim + r] : 0;
    };
    return {panel, d, bias_at(d), bias_at(d ^ half)};
  }
  __device__ Angle angle(int token, const Row& row) const {
    const int64_t t = this->first_token() + token;
    const float* const of_token = to.angles + t * head_dim + row.d % half;
    const float sine = of_token[half];
    return {of_token[0], row.d < half ? -sine : sine, to.slots[t]};
  }
  /// The same operations as RopeStore's: an addition of -b is a subtraction of b.
  __device__ void put(int token, const Row& row, const Angle& angle, float sum, float partner_sum) const {
    if (row.n >= to.heads + 2 * to.kv_heads) return;
    float v = sum + row.bias;
    if (row.n < to.heads + to.kv_heads) v = v * angle.cosine + (partner_sum + row.partner_bias) * angle.sine;
    if (row.n < to.heads)
      return to.q.put(((this->first_token() + token) * to.heads + row.n) * head_dim + row.d, v);
    const int g = (row.n - to.heads) % to.kv_heads, at = angle.slot % kv_block_tokens;
    const int64_t block = int64_t(angle.slot / kv_block_tokens) * to.kv_heads + g;
    const bool key = row.n < to.heads + to.kv_heads;
    (key ? to.keys
         : to.values)[block * kv_block_tokens * head_dim + (key ? key_at(at, row.d) : value_at(at, row.d))] =
        bf16_bits(v);
  }
};

}  // namespace

void CudaBackend::run(const QkvRopeStore& op) {
  const int64_t tokens = op.x.size(0);
  if (op.kv.head_dim != head_dim || tokens > most_tokens) return Backend::run(op);
  const PanelFormat f = format_of(op.qkv.weight);
  const Arena::Scope scope(workspace());
  const uint16_t* const x = round_inputs(op.x, f);
  if (workspace().measuring() || tokens == 0) return;
  const RopeStoreTargets to{.angles = op.angles.data<float>(),
                            .slots = op.slots.data<int32_t>(),
                            .q = FloatOut(op.out),
                            .keys = static_cast<uint16_t*>(op.kv.keys.raw()),
                            .values = static_cast<uint16_t*>(op.kv.values.raw()),
                            .heads = int(op.out.size(1)),
                            .kv_heads = int(op.kv.kv_heads)};
  dispatch_dense(f, tokens, [&]<typename S, typename Split>() {
    if constexpr (S::n_tokens <= most_tokens)
      launch_product<S, Split>("qkv_rope_store", f.panels(), (tokens + S::n_tokens - 1) / S::n_tokens,
                               {x, tokens, f.padded_columns()}, QkvProduct<S::n_tokens>{{op.qkv, tokens}, to});
  });
}

}  // namespace chorus::cuda
