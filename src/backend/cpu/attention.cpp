#include "backend/cpu/cpu_backend.h"
#include "chorus/error.h"

namespace chorus::cpu {
namespace {

constexpr int64_t block_tokens = 16;  // one key a lane

/// A head's pairs (x[i], x[i + dim / 2]) by angles[0][i], their cosines, and angles[1][i], their sines.
void rotate(const float* x, const float* angles, int64_t dim, float* out) {
  const int64_t half = dim / 2;
  const float *cos = angles, *sin = angles + half;
  for (int64_t i = 0; i < half; ++i) {
    out[i] = x[i] * cos[i] - x[i + half] * sin[i];
    out[i + half] = x[i + half] * cos[i] + x[i] * sin[i];
  }
}

}  // namespace

KvLayer CpuBackend::make_kv_layer(int64_t blocks, int64_t kv_heads, int64_t head_dim, int64_t tokens) {
  if (tokens != block_tokens)
    throw Error(Fault::internal, "kv blocks on a CPU hold 16 tokens").with("actual", tokens);
  if (head_dim % 16 != 0 || head_dim > max_head_dim)
    throw Error(Fault::model, "head_dim is not supported")
        .with("expected", "a multiple of 16, at most 512")
        .with("actual", head_dim);
  const DType dtype = fast() ? DType::bf16 : DType::f32;
  const Shape shape{blocks, kv_heads, block_tokens * head_dim};
  return {.keys = allocate(dtype, shape),
          .values = allocate(dtype, shape),
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .block_tokens = block_tokens};
}

// Inside a block, per kv head: keys [dim][16 tokens], so that sixteen scores grow side by side; values
// [16 tokens][dim].
template <typename T>
void CpuBackend::rope_store(const RopeStore& op) {
  const int64_t heads = op.out.size(1), groups = op.kv.kv_heads, dim = op.kv.head_dim;
  threads_.for_each(op.slots.size(0), [&](int64_t t) {
    const float* x = op.qkv.row<float>(t).data();
    const float* angles = op.angles.row<float>(t).data();
    for (int64_t n = 0; n < heads; ++n) rotate(x + n * dim, angles, dim, op.out.row<float>(t).data() + n * dim);
    const int64_t slot = op.slots.data<int32_t>()[t], block = slot / block_tokens, offset = slot % block_tokens;
    for (int64_t g = 0; g < groups; ++g) {
      T* keys = op.kv.keys.data<T>() + (block * groups + g) * block_tokens * dim;
      T* values = op.kv.values.data<T>() + (block * groups + g) * block_tokens * dim;
      float k[max_head_dim];
      rotate(x + (heads + g) * dim, angles, dim, k);
      const float* v = x + (heads + groups + g) * dim;
      for (int64_t d = 0; d < dim; ++d) {
        keys[d * block_tokens + offset] = from_float<T>(k[d]);
        values[offset * dim + d] = from_float<T>(v[d]);
      }
    }
  });
}

void CpuBackend::run(const RopeStore& op) {
  if (workspace().measuring()) return;
  if (fast())
    rope_store<bf16>(op);
  else
    rope_store<float>(op);
}

void CpuBackend::run(const PagedAttention& op) {
  const int64_t tokens = op.q.size(0), all_heads = op.q.size(1), dim = op.q.size(2), groups = op.kv.kv_heads;
  const int64_t heads = all_heads / groups;
  if (heads > max_heads_per_kv_head)
    throw Error(Fault::model, "too many query heads per kv head")
        .with("limit", max_heads_per_kv_head)
        .with("actual", heads);
  const Arena::Scope scope(workspace());
  float* const q = workspace().array<float>(op.q.elements());  // scaled once, not once per key
  struct Unit {
    int32_t first, tokens;
  };
  Unit* const units = workspace().array<Unit>(tokens);
  if (workspace().measuring()) return;
  const float* const in = op.q.data<float>();
  const size_t element = kv_element_bytes();
  const auto* const positions = op.positions.data<int32_t>();
  const auto* const rows = op.row_of_token.data<int32_t>();
  // Tokens that follow each other in a row go together.
  int64_t count = 0;
  for (int32_t t = 0; t < tokens; ++t) {
    const bool joins = count > 0 && units[count - 1].tokens < max_attention_tokens && rows[t] == rows[t - 1] &&
                       positions[t] == positions[t - 1] + 1;
    if (joins)
      ++units[count - 1].tokens;
    else
      units[count++] = {.first = t, .tokens = 1};
  }
  threads_.for_each(count * groups, [&](int64_t i) {
    // Neighbouring units share a kv head's keys, not a token: the keys are what is large.
    const int64_t g = i / count, first = units[i % count].first, n = units[i % count].tokens, row = rows[first];
    const int64_t first_head = first * all_heads + g * heads, offset = g * block_tokens * dim;
    for (int64_t t = 0; t < n; ++t)
      for (int64_t j = 0; j < heads * dim; ++j) {
        const int64_t at = (first_head + t * all_heads) * dim + j;
        q[at] = in[at] * op.scale;
      }
    const AttentionRows a{.tokens = n,
                          .q = q + first_head * dim,
                          .q_stride = all_heads * dim,
                          .sinks = op.sinks.empty() ? nullptr : op.sinks.data<float>() + g * heads,
                          .heads = heads,
                          .dim = dim,
                          .window = op.window,
                          .position = positions[first],
                          .blocks = op.block_tables.data<int32_t>() + row * op.block_tables.size(1),
                          .first_block = op.first_block.data<int32_t>()[row],
                          .keys = static_cast<std::byte*>(op.kv.keys.raw()) + size_t(offset) * element,
                          .values = static_cast<std::byte*>(op.kv.values.raw()) + size_t(offset) * element,
                          .block_stride = groups * block_tokens * dim,
                          .out = op.out.data<float>() + first_head * dim};
    (fast() ? kernels_.attention_bf16 : kernels_.attention_f32)(a);
  });
}

}  // namespace chorus::cpu
