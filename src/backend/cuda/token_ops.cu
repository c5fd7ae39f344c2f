// The ops on single tokens: all bound by bytes that are few beside the weights. A thread block, or a warp, per
// token.
#include "backend/cuda/device.cuh"
#include "backend/cuda/kv_layout.h"

namespace chorus::cuda {
namespace {

template <PanelKind kind>
__global__ void embedding_kernel(const std::byte* table, PanelFormat f, const int32_t* ids, float* out) {
  const int64_t id = ids[blockIdx.x];
  const std::byte* panel = table + id / panel_rows * f.panel_bytes();
  for (int64_t c = threadIdx.x; c < f.columns; c += blockDim.x)
    out[blockIdx.x * f.columns + c] = weight_at<kind>(panel, f, int(id % panel_rows), c);
}

__global__ void rms_norm_kernel(const float* x, const float* weight, float eps, float* out, int64_t hidden) {
  __shared__ float warp_sums[32];
  x += blockIdx.x * hidden;
  out += blockIdx.x * hidden;
  float square_sum = 0;
  for (int64_t h = threadIdx.x; h < hidden; h += blockDim.x) square_sum = fmaf(x[h], x[h], square_sum);
  square_sum = warp_sum(square_sum);
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = square_sum;
  __syncthreads();
  float total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) total += warp_sums[w];
  const float scale = 1 / sqrtf(total / float(hidden) + eps);
  for (int64_t h = threadIdx.x; h < hidden; h += blockDim.x) out[h] = x[h] * scale * weight[h];
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

__global__ void rope_kernel(const float* x, int64_t x_stride, const float* angles, float* out, int64_t heads,
                            int64_t half) {
  x += blockIdx.x * x_stride;
  out += blockIdx.x * heads * 2 * half;
  angles += blockIdx.x * 2 * half;
  for (int64_t i = threadIdx.x; i < heads * half; i += blockDim.x) {
    const int64_t pair = i % half, low = i / half * 2 * half + pair, high = low + half;
    const float cosine = angles[pair], sine = angles[half + pair], a = x[low], b = x[high];
    out[low] = a * cosine - b * sine;
    out[high] = b * cosine + a * sine;
  }
}

__global__ void kv_store_kernel(const float* k, const float* v, int64_t v_stride, const int32_t* slots,
                                uint16_t* keys, uint16_t* values, int64_t heads, int64_t dim) {
  const int64_t t = blockIdx.x, slot = slots[t];
  for (int64_t i = threadIdx.x; i < heads * dim; i += blockDim.x) {
    const int64_t head = (slot / kv_block_tokens * heads + i / dim) * kv_block_tokens * dim;
    const int token = int(slot % kv_block_tokens), d = int(i % dim);
    keys[head + key_at(token, d)] = bf16_bits(k[t * heads * dim + i]);
    values[head + value_at(token, d)] = bf16_bits(v[t * v_stride + i]);
  }
}

/// True if expert a with logit x comes before expert b with logit y.
__device__ bool before(float x, int a, float y, int b) {
  return x > y || (x == y && a < b);
}

// A warp per token takes the best that comes after the one before, K times: no list, any number of experts.
__global__ void routing_kernel(const float* logits, int32_t* experts, float* weights, int count, int chosen) {
  const int lane = int(threadIdx.x);
  logits += int64_t(blockIdx.x) * count;
  experts += int64_t(blockIdx.x) * chosen;
  weights += int64_t(blockIdx.x) * chosen;
  float last = INFINITY, largest = 0, sum = 0;
  int last_expert = -1;
  for (int k = 0; k < chosen; ++k) {
    float best = -INFINITY;
    int expert = count;  // none yet: after every expert of the same logit
    for (int e = lane; e < count; e += 32) {
      const float logit = isnan(logits[e]) ? -INFINITY : logits[e];
      if (before(last, last_expert, logit, e) && before(logit, e, best, expert)) best = logit, expert = e;
    }
    for (int d = 16; d > 0; d /= 2) {
      const float other = __shfl_xor_sync(all_lanes, best, d);
      const int other_expert = __shfl_xor_sync(all_lanes, expert, d);
      if (before(other, other_expert, best, expert)) best = other, expert = other_expert;
    }
    last = best;
    last_expert = expert;
    if (k == 0) largest = best;
    const float weight = expf(best - largest);
    sum += weight;
    if (lane == 0) experts[k] = expert, weights[k] = weight;
  }
  if (lane == 0)
    for (int k = 0; k < chosen; ++k) weights[k] /= sum;
}

__global__ void add_kernel(const float* a, const float* b, float* out, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) out[i] = a[i] + b[i];
}

__global__ void rows_kernel(const float* x, const int32_t* index, float* out, int64_t columns) {
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
  launch("rms_norm", rms_norm_kernel, {.x = op.x.size(0)}, op.x.data<float>(), op.weight.data<float>(), op.eps,
         op.out.data<float>(), op.x.size(1));
}

void CudaBackend::run(const RopeAngles& op) {
  if (workspace().measuring()) return;
  launch("rope_angles", rope_angles_kernel, {.x = op.positions.size(0), .threads = 64},
         op.positions.data<int32_t>(), op.frequencies.data<float>(), op.scale, op.out.data<float>(),
         op.frequencies.size(0));
}

void CudaBackend::run(const Rope& op) {
  if (workspace().measuring()) return;
  launch("rope", rope_kernel, {.x = op.x.size(0)}, op.x.data<float>(), op.x_stride, op.angles.data<float>(),
         op.out.data<float>(), op.x.size(1), op.x.size(2) / 2);
}

void CudaBackend::run(const KvStore& op) {
  if (workspace().measuring()) return;
  launch("kv_store", kv_store_kernel, {.x = op.slots.size(0)}, op.k.data<float>(), op.v.data<float>(), op.v_stride,
         op.slots.data<int32_t>(), static_cast<uint16_t*>(op.kv.keys.raw()),
         static_cast<uint16_t*>(op.kv.values.raw()), op.kv.kv_heads, op.kv.head_dim);
}

void CudaBackend::run(const Routing& op) {
  if (workspace().measuring()) return;
  launch("routing", routing_kernel, {.x = op.logits.size(0), .threads = 32}, op.logits.data<float>(),
         op.experts.data<int32_t>(), op.weights.data<float>(), int(op.logits.size(1)), int(op.experts.size(1)));
}

void CudaBackend::run(const Add& op) {
  if (workspace().measuring()) return;
  launch("add", add_kernel, {.x = (op.a.elements() + 255) / 256}, op.a.data<float>(), op.b.data<float>(),
         op.out.data<float>(), op.a.elements());
}

void CudaBackend::run(const Rows& op) {
  if (workspace().measuring()) return;
  launch("rows", rows_kernel, {.x = op.index.size(0)}, op.x.data<float>(), op.index.data<int32_t>(),
         op.out.data<float>(), op.x.size(1));
}

}  // namespace chorus::cuda
