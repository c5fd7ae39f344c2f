// Attention over the paged cache, in f32. A thread block takes one token and up to eight of the query heads that
// share a kv head, and goes through the keys in splits of 256 that begin at multiples of 256 positions. Splits
// fold into a running softmax in order: a token's result depends on its row alone. With few tokens the splits go
// to blocks of their own and a second kernel folds them: the same additions in the same order, so the same bits.
#include "backend/cuda/device.cuh"

namespace chorus::cuda {
namespace {

constexpr int block_tokens = 16, split_keys = 256, max_heads = 8, attention_threads = 128, max_dim = 512;
constexpr int per_thread = 2 * max_dim / attention_threads;  // (four heads, dimension) items of a thread
constexpr int64_t split_units = 4096;                        // tokens * splits that have room for partial results

struct Args {
  const float* q;
  const uint16_t *keys, *values;
  const int32_t *positions, *row_of_token, *tables, *first_block;
  const float* sinks;  ///< or null
  float* out;
  float* partial;  ///< [units][N][dim + 2]: sums, largest score, sum of weights; null: one block does all splits
  int64_t heads, kv_heads, dim, table_stride, window;
  int splits;  ///< that a token may see at most
  float scale;

  __device__ int group_heads() const { return int(heads / kv_heads); }
  __device__ int first_key(int position) const {
    return window > 0 && position + 1 > window ? int(position + 1 - window) : 0;
  }
};

/// The running softmax of one head.
struct Running {
  float largest = -INFINITY, sum = 0;

  /// Takes in a split with this largest score and sum; what is summed so far, and what comes, must be scaled by
  /// these.
  struct Factors {
    float old, fresh;
  };
  __device__ Factors fold(float split_largest, float split_sum) {
    const float both = fmaxf(largest, split_largest);
    const Factors f{expf(largest - both), expf(split_largest - both)};
    sum = __fmaf_rn(sum, f.old, __fmul_rn(split_sum, f.fresh));
    largest = both;
    return f;
  }
  /// One over the sum, the sink included, by which the values' sums are multiplied.
  __device__ float finish(const float* sink) const {
    if (sink == nullptr) return 1 / sum;
    const float both = fmaxf(largest, *sink);
    return expf(largest - both) / __fmaf_rn(sum, expf(largest - both), expf(*sink - both));
  }
};
__device__ inline float folded(float sum, float split, Running::Factors f) {
  return __fmaf_rn(sum, f.old, __fmul_rn(split, f.fresh));
}

/// What the threads of a block share.
struct Shared {
  float q[max_heads][max_dim];
  float weights[max_heads][split_keys];
  float largest[max_heads], sum[max_heads];
};

/// Where a key's or a value's dimensions begin.
__device__ inline int64_t cache_at(const Args& a, const int32_t* table, int first_block, int64_t g, int position) {
  const int64_t block = table[position / block_tokens - first_block];
  return ((block * a.kv_heads + g) * block_tokens + position % block_tokens) * a.dim;
}

__device__ inline void add_products(const float (&q)[max_heads][max_dim], int64_t d, uint4 keys, int heads,
                                    float (&scores)[max_heads]) {
  const uint32_t words[4] = {keys.x, keys.y, keys.z, keys.w};
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    const float low = bf16_value(words[w] & 0xffff), high = bf16_value(words[w] >> 16);
#pragma unroll
    for (int h = 0; h < max_heads; ++h) {
      if (h >= heads) break;
      scores[h] = __fmaf_rn(q[h][d + w * 2], low, scores[h]);
      scores[h] = __fmaf_rn(q[h][d + w * 2 + 1], high, scores[h]);
    }
  }
}

/// Scores of keys [begin, end) of a split, made weights: exp(score - largest), and their sums.
__device__ void weigh(const Args& a, const int32_t* table, int first_block, int64_t g, int heads, int begin,
                      int end, Shared& s) {
  for (int k = int(threadIdx.x); k < end - begin; k += attention_threads) {
    const uint16_t* key = a.keys + cache_at(a, table, first_block, g, begin + k);
    float scores[max_heads] = {};
    for (int64_t d = 0; d < a.dim; d += 8)
      add_products(s.q, d, *reinterpret_cast<const uint4*>(key + d), heads, scores);
#pragma unroll
    for (int h = 0; h < max_heads; ++h)
      if (h < heads) s.weights[h][k] = scores[h];
  }
  __syncthreads();
  const int lane = int(threadIdx.x) % 32;
  for (int h = int(threadIdx.x) / 32; h < heads; h += attention_threads / 32) {
    float largest = -INFINITY, sum = 0;
    for (int k = lane; k < end - begin; k += 32) largest = fmaxf(largest, s.weights[h][k]);
    largest = warp_max(largest);
    for (int k = lane; k < end - begin; k += 32) {
      const float weight = expf(s.weights[h][k] - largest);
      s.weights[h][k] = weight;
      sum += weight;
    }
    sum = warp_sum(sum);
    if (lane == 0) s.largest[h] = largest, s.sum[h] = sum;
  }
  __syncthreads();
}

/// Item i of a block: dimension i % dim of heads 4 * (i / dim) and the three after it.
__device__ void sum_values(const Args& a, const int32_t* table, int first_block, int64_t g, int begin, int end,
                           int item, const Shared& s, float (&sums)[4]) {
  const int64_t d = item % a.dim;
  const int h = int(item / a.dim) * 4;
  for (float& sum : sums) sum = 0;
#pragma unroll 4
  for (int k = 0; k < end - begin; ++k) {
    const float value = bf16_value(a.values[cache_at(a, table, first_block, g, begin + k) + d]);
    for (int i = 0; i < 4; ++i) sums[i] = __fmaf_rn(s.weights[h + i][k], value, sums[i]);
  }
}

/// Grid: tokens x (kv heads * head chunks) x splits (1 if partial is null).
__global__ void __launch_bounds__(attention_threads) attention_kernel(Args a) {
  __shared__ Shared s;
  const int chunks = (a.group_heads() + max_heads - 1) / max_heads, chunk = int(blockIdx.y) % chunks;
  const int64_t t = blockIdx.x, g = blockIdx.y / chunks, first_head = g * a.group_heads() + chunk * max_heads;
  const int heads = min(max_heads, a.group_heads() - chunk * max_heads), position = a.positions[t];
  const int row = a.row_of_token[t], first_block = a.first_block[row], low = a.first_key(position);
  const int32_t* const table = a.tables + row * a.table_stride;
  int split = low / split_keys, end_split = position / split_keys + 1;
  if (a.partial != nullptr) {
    split += int(blockIdx.z);
    if (split >= end_split) return;
    end_split = split + 1;
  }
  for (int64_t i = threadIdx.x; i < max_heads * a.dim; i += attention_threads) {
    const int h = int(i / a.dim);
    s.q[h][i % a.dim] = h < heads ? a.q[(t * a.heads + first_head + h) * a.dim + i % a.dim] * a.scale : 0;
  }
  // Heads that are not there: their weights are read and nowhere used.
  for (int i = heads * split_keys + int(threadIdx.x); i < max_heads * split_keys; i += attention_threads)
    s.weights[i / split_keys][i % split_keys] = 0;
  if (threadIdx.x >= unsigned(heads) && threadIdx.x < max_heads) s.largest[threadIdx.x] = s.sum[threadIdx.x] = 0;
  __syncthreads();

  const int items = int((heads + 3) / 4 * a.dim);
  float totals[per_thread][4] = {};
  Running running[per_thread][4];
  for (; split < end_split; ++split) {
    const int begin = max(low, split * split_keys), end = min(position + 1, (split + 1) * split_keys);
    weigh(a, table, first_block, g, heads, begin, end, s);
#pragma unroll
    for (int n = 0; n < per_thread; ++n) {
      const int item = n * attention_threads + int(threadIdx.x);
      if (item >= items) break;
      float sums[4];
      sum_values(a, table, first_block, g, begin, end, item, s, sums);
      for (int i = 0; i < 4; ++i) {
        const int h = int(item / a.dim) * 4 + i;
        if (a.partial != nullptr) {
          if (h >= heads) continue;
          float* out = a.partial + ((t * a.splits + blockIdx.z) * a.heads + first_head + h) * (a.dim + 2);
          out[item % a.dim] = sums[i];
          if (item % a.dim == 0) out[a.dim] = s.largest[h], out[a.dim + 1] = s.sum[h];
        } else {
          totals[n][i] = folded(totals[n][i], sums[i], running[n][i].fold(s.largest[h], s.sum[h]));
        }
      }
    }
    __syncthreads();  // before the next split's weights
  }
  if (a.partial != nullptr) return;
#pragma unroll
  for (int n = 0; n < per_thread; ++n) {
    const int item = n * attention_threads + int(threadIdx.x);
    if (item >= items) break;
    for (int i = 0; i < 4; ++i) {
      const int h = int(item / a.dim) * 4 + i;
      if (h >= heads) continue;
      const float* sink = a.sinks != nullptr ? a.sinks + first_head + h : nullptr;
      a.out[(t * a.heads + first_head + h) * a.dim + item % a.dim] = totals[n][i] * running[n][i].finish(sink);
    }
  }
}

/// Grid: tokens x heads.
__global__ void fold_kernel(Args a) {
  const int64_t t = blockIdx.x, head = blockIdx.y;
  const int position = a.positions[t], splits = position / split_keys - a.first_key(position) / split_keys + 1;
  for (int64_t d = threadIdx.x; d < a.dim; d += blockDim.x) {
    Running running;
    float total = 0;
    for (int split = 0; split < splits; ++split) {
      const float* part = a.partial + ((t * a.splits + split) * a.heads + head) * (a.dim + 2);
      total = folded(total, part[d], running.fold(part[a.dim], part[a.dim + 1]));
    }
    a.out[(t * a.heads + head) * a.dim + d] =
        total * running.finish(a.sinks != nullptr ? a.sinks + head : nullptr);
  }
}

}  // namespace

void CudaBackend::run(const PagedAttention& op) {
  const int64_t tokens = op.q.size(0), heads = op.q.size(1), dim = op.q.size(2), kv_heads = op.kv.kv_heads;
  // A table's blocks, wherever they begin, touch one split more than they fill.
  int64_t splits = (op.block_tables.size(1) * block_tokens + split_keys - 1) / split_keys + 1;
  if (op.window > 0) splits = std::min(splits, (op.window + split_keys - 2) / split_keys + 1);
  const Arena::Scope scope(workspace());
  // As much room for any larger step: what is measured with the largest must hold the others.
  const int64_t units = std::min(tokens * splits, split_units);
  auto* const partial = workspace().array<float>(units * heads * (dim + 2));
  if (workspace().measuring()) return;
  const bool split = tokens * splits <= split_units;
  const Args a{.q = op.q.data<float>(),
               .keys = static_cast<const uint16_t*>(op.kv.keys.raw()),
               .values = static_cast<const uint16_t*>(op.kv.values.raw()),
               .positions = op.positions.data<int32_t>(),
               .row_of_token = op.row_of_token.data<int32_t>(),
               .tables = op.block_tables.data<int32_t>(),
               .first_block = op.first_block.data<int32_t>(),
               .sinks = op.sinks.empty() ? nullptr : op.sinks.data<float>(),
               .out = op.out.data<float>(),
               .partial = split ? partial : nullptr,
               .heads = heads,
               .kv_heads = kv_heads,
               .dim = dim,
               .table_stride = op.block_tables.size(1),
               .window = op.window,
               .splits = int(splits),
               .scale = op.scale};
  const int64_t chunks = (heads / kv_heads + max_heads - 1) / max_heads;
  launch("attention", attention_kernel,
         {.x = tokens, .y = kv_heads * chunks, .z = split ? splits : 1, .threads = attention_threads}, a);
  if (split) launch("attention_fold", fold_kernel, {.x = tokens, .y = heads, .threads = 64}, a);
}

}  // namespace chorus::cuda
