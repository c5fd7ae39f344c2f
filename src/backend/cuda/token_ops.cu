// The ops on single tokens: all bound by bytes that are few beside the weights. A thread block, or a warp, per
// token.
#include "backend/cuda/kv_layout.h"
#include "backend/cuda/norm_row.cuh"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

template <PanelKind kind>
__global__ void embedding_kernel(const std::byte* table, PanelFormat f, const int32_t* ids, float* out) {
  const int64_t id = ids[blockIdx.x];
  const std::byte* panel = table + id / panel_rows * f.panel_bytes();
  for (int64_t c = threadIdx.x; c < f.columns; c += blockDim.x)
    out[blockIdx.x * f.columns + c] = weight_at<kind>(panel, f, int(id % panel_rows), c);
}

template <bool in_registers>
__global__ void __launch_bounds__(norm_threads)
    rms_norm_kernel(const float* x, const float* weight, float eps, FloatOut out, int hidden) {
  let_next_start();
  __shared__ float warp_sums[norm_threads / 32];
  const int64_t first = int64_t(blockIdx.x) * hidden;
  norm_row<in_registers>(RowAt{x + first}, weight, eps, hidden, 1, warp_sums,
                         [&](int h, const auto& v) { out.put(first + h, v); });
}

__global__ void rope_angles_kernel(const int32_t* positions, const float* frequencies, float scale, float* out,
                                   int64_t pairs) {
  for (int64_t i = threadIdx.x; i < pairs; i += blockDim.x) {
    double sine, cosine;
    sincos(double(positions[blockIdx.x]) * double(frequencies[i]), &sine, &cosine);
    out[blockIdx.x * 2 * pairs + i] = float(scale * cosine);
    out[(blockIdx.x * 2 + 1) * pairs + i] = float(scale * sine);
  }
}

/// Results of a rotation: four neighbours of the lower half of a head, and those of the upper half.
struct Quads {
  float4 low, high;
};
__device__ inline Quads rotated(const Quads& x, const float4& c, const float4& s) {
  return {{x.low.x * c.x - x.high.x * s.x, x.low.y * c.y - x.high.y * s.y, x.low.z * c.z - x.high.z * s.z,
           x.low.w * c.w - x.high.w * s.w},
          {x.high.x * c.x + x.low.x * s.x, x.high.y * c.y + x.low.y * s.y, x.high.z * c.z + x.low.z * s.z,
           x.high.w * c.w + x.low.w * s.w}};
}

struct RopeStoreArgs {
  const float *qkv, *angles;
  const int32_t* slots;
  FloatOut q;
  uint16_t *keys, *values;
  int heads, kv_heads, dim;

  /// Four neighbouring dimensions of a key, which lie side by side in the cache, too.
  __device__ void put_key(uint16_t* head, int token, int d, const float4& v) const {
    *reinterpret_cast<uint2*>(head + key_at(token, d)) = {bf16_pair(v.x, v.y), bf16_pair(v.z, v.w)};
  }
  __device__ void put_value(uint16_t* head, int token, int d, const float4& v) const {
    head[value_at(token, d)] = bf16_bits(v.x);
    head[value_at(token, d + 1)] = bf16_bits(v.y);
    head[value_at(token, d + 2)] = bf16_bits(v.z);
    head[value_at(token, d + 3)] = bf16_bits(v.w);
  }
};

// Grid: tokens x parts of their heads; a thread has a pair of quads.
__global__ void rope_store_kernel(const __grid_constant__ RopeStoreArgs a) {
  let_next_start();
  wait_for_inputs();
  const int half = a.dim / 2, all_heads = a.heads + 2 * a.kv_heads, item = int(blockIdx.y * blockDim.x + threadIdx.x);
  const int n = item / (half / 4), d = item % (half / 4) * 4;
  if (n >= all_heads) return;
  const int64_t t = blockIdx.x;
  const float* const x = a.qkv + (t * all_heads + n) * a.dim + d;
  Quads v{*reinterpret_cast<const float4*>(x), *reinterpret_cast<const float4*>(x + half)};
  if (n < a.heads + a.kv_heads) {
    const float* const angles = a.angles + t * a.dim + d;
    v = rotated(v, *reinterpret_cast<const float4*>(angles), *reinterpret_cast<const float4*>(angles + half));
  }
  if (n < a.heads) {
    const int64_t at = (t * a.heads + n) * a.dim + d;
    a.q.put(at, v.low);
    a.q.put(at + half, v.high);
    return;
  }
  const int64_t slot = a.slots[t];
  const int token = int(slot % kv_block_tokens), g = (n - a.heads) % a.kv_heads;
  const int64_t head = (slot / kv_block_tokens * a.kv_heads + g) * kv_block_tokens * a.dim;
  if (n < a.heads + a.kv_heads) {
    a.put_key(a.keys + head, token, d, v.low);
    a.put_key(a.keys + head, token, d + half, v.high);
  } else {
    a.put_value(a.values + head, token, d, v.low);
    a.put_value(a.values + head, token, d + half, v.high);
  }
}

__global__ void rows_kernel(const float* x, const int32_t* index, float* out, int64_t columns) {
  let_next_start();
  wait_for_inputs();
  const int64_t from = index[blockIdx.x];
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x)
    out[blockIdx.x * columns + c] = x[from * columns + c];
}

}  // namespace

void CudaBackend::run(const Embedding& op) {
  if (workspace().measuring()) return;
  const PanelFormat f = format_of(op.table);
  dispatch_kind(f.kind, [&]<PanelKind kind>() {
    launch("embedding", embedding_kernel<kind>, {.x = op.token_ids.size(0)},
           static_cast<const std::byte*>(op.table.data.raw()), f, op.token_ids.data<int32_t>(),
           op.out.data<float>());
  });
}

void CudaBackend::run(const RmsNorm& op) {
  if (workspace().measuring()) return;
  const int64_t hidden = op.x.size(1);
  launch("rms_norm", norm_in_registers(hidden) ? rms_norm_kernel<true> : rms_norm_kernel<false>,
         {.x = op.x.size(0), .threads = norm_threads, .overlap = true}, op.x.data<float>(), op.weight.data<float>(),
         op.eps, FloatOut(op.out), int(hidden));
}

void CudaBackend::run(const RopeAngles& op) {
  if (workspace().measuring()) return;
  launch("rope_angles", rope_angles_kernel, {.x = op.positions.size(0), .threads = 64},
         op.positions.data<int32_t>(), op.frequencies.data<float>(), op.scale, op.out.data<float>(),
         op.frequencies.size(0));
}

void CudaBackend::run(const RopeStore& op) {
  if (workspace().measuring()) return;
  constexpr int threads = 128;
  const int64_t dim = op.kv.head_dim, quads = op.qkv.size(1) * dim / 8;
  if (dim % 8 != 0)
    throw Error(Fault::model, "head_dim is not supported").with("expected", "a multiple of 8").with("actual", dim);
  launch("rope_store", rope_store_kernel,
         {.x = op.qkv.size(0), .y = (quads + threads - 1) / threads, .threads = threads, .overlap = true},
         RopeStoreArgs{.qkv = op.qkv.data<float>(),
                       .angles = op.angles.data<float>(),
                       .slots = op.slots.data<int32_t>(),
                       .q = FloatOut(op.out),
                       .keys = static_cast<uint16_t*>(op.kv.keys.raw()),
                       .values = static_cast<uint16_t*>(op.kv.values.raw()),
                       .heads = int(op.out.size(1)),
                       .kv_heads = int(op.kv.kv_heads),
                       .dim = int(dim)});
}

void CudaBackend::run(const Rows& op) {
  if (workspace().measuring()) return;
  launch("rows", rows_kernel, {.x = op.index.size(0), .overlap = true}, op.x.data<float>(), op.index.data<int32_t>(),
         op.out.data<float>(), op.x.size(1));
}

}  // namespace chorus::cuda
