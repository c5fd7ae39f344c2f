#include <cooperative_groups.h>

#include <chrono>

#include "backend/cuda/panel_block.cuh"
#include "backend/cuda/panel_stream.cuh"

namespace chorus::cuda {
namespace {

// Rows padded with zeros to whole chunks.
template <typename T>
__global__ void round_kernel(const T* x, uint16_t* out, int64_t columns, int64_t padded) {
  wait_for_inputs();
  for (int64_t c = threadIdx.x; c < padded; c += blockDim.x) {
    uint16_t value = 0;
    if (c < columns) {
      if constexpr (sizeof(T) == 2)
        value = x[blockIdx.x * columns + c];
      else
        value = bf16_bits(x[blockIdx.x * columns + c]);
    }
    out[blockIdx.x * padded + c] = value;
  }
}

/// out = x W^T + bias + residual: x [tokens, padded columns] bf16, out [tokens, rows]; bias and residual may be
/// null.
struct Product {
  const std::byte* weights;
  PanelFormat f;
  const uint16_t* x;
  const float *bias, *residual;
  float* out;
  int64_t tokens;

  __device__ const uint16_t* inputs(int64_t token) const {  // past the last: any
    return x + min(token, tokens - 1) * f.padded_columns();
  }
  __device__ void put(int64_t token, int64_t row, float sum) const {
    if (token >= tokens || row >= f.rows) return;
    const int64_t at = token * f.rows + row;
    if (bias != nullptr) sum += bias[row];
    out[at] = residual != nullptr ? residual[at] + sum : sum;
  }
};

/// A unit is a panel.
template <int n_tiles>
struct StreamUnits {
  Product product;

  __device__ void panels(int unit, const std::byte* (&at)[1]) const {
    at[0] = product.weights + unit * product.f.panel_bytes();
  }
  __device__ int tokens(int, const uint16_t* (&x)[n_tiles]) const {
#pragma unroll
    for (int n = 0; n < n_tiles; ++n) x[n] = product.inputs(n * 8 + threadIdx.x % 32 / 4);
    return int(product.tokens + 7) / 8;
  }
  __device__ void finish(int unit, const StreamSums<1, n_tiles>& sums) const {
    for (int i = int(threadIdx.x); i < n_tiles * 8 * panel_rows; i += stream_threads) {
      const int token = i / panel_rows, row = i % panel_rows;
      product.put(token, int64_t(unit) * panel_rows + row, sums.total(0, token, row));
    }
  }
};

template <typename Coded, int n_tiles>
__global__ void __launch_bounds__(stream_threads, stream_blocks(n_tiles)) stream_kernel(Product product) {
  let_next_start();
  StreamUnits<n_tiles> units{product};
  const Share share(product.f.panels(), stream_blocks(n_tiles));
  stream_panels<Coded, 1, n_tiles>(product.f, share.first, share.last, units);
}

__device__ inline int used_tiles(int64_t tokens) {
  return int(min((tokens + 7) / 8, int64_t(block_tiles)));
}

// Grid: groups of 8 panels x tiles of 64 tokens; for products that would not fill the device x the classes, which
// are a cluster.
template <typename Coded, bool one_class>
__device__ __forceinline__ BlockShared<Coded>& block_sums(const Product& product) {
  auto& shared = *reinterpret_cast<BlockShared<Coded>*>(block_memory);
  const int64_t first_token = int64_t(blockIdx.y) * block_tokens;
  const int64_t panel = min(int64_t(blockIdx.x) * block_warps + threadIdx.x / 32, product.f.panels() - 1);
  const uint16_t* const rows[2] = {product.inputs(first_token + threadIdx.x / 8),
                                   product.inputs(first_token + threadIdx.x / 8 + 32)};
  multiply_block<one_class>(product.f, product.weights + panel * product.f.panel_bytes(), rows,
                            used_tiles(product.tokens - first_token), int(blockIdx.z), shared);
  return shared;
}
__device__ inline void put_block(const Product& product, int row, int token, float sum) {
  product.put(int64_t(blockIdx.y) * block_tokens + token, int64_t(blockIdx.x) * block_warps * panel_rows + row,
              sum);
}

template <typename Coded>
__global__ void __launch_bounds__(block_threads, 2) block_kernel(Product product) {
  wait_for_inputs();
  auto& shared = block_sums<Coded, false>(product);
  shared.for_each(shared.outputs, block_tokens,
                  [&](int row, int token) { put_block(product, row, token, shared.sums[row][token]); });
}

template <typename Coded>
__global__ void __cluster_dims__(1, 1, classes) __launch_bounds__(block_threads, 2)
    cluster_kernel(Product product) {
  wait_for_inputs();
  auto& shared = block_sums<Coded, true>(product);
  const auto cluster = cooperative_groups::this_cluster();
  cluster.sync();
  const BlockShared<Coded>* of_class[classes];
  for (int c = 0; c < classes; ++c) of_class[c] = cluster.map_shared_rank(&shared, unsigned(c));
  // Every block of the cluster finishes its share of the rows: a thread takes four tokens of a row, which it
  // fetches from all four before it adds.
  constexpr int share = BlockShared<Coded>::outputs / classes;
#pragma unroll
  for (int i = int(threadIdx.x); i < share * block_tokens / 4; i += block_threads) {
    const int row = int(blockIdx.z) * share + i % share, token = i / share * 4;
    float4 parts[classes];
#pragma unroll
    for (int c = 0; c < classes; ++c) parts[c] = *reinterpret_cast<const float4*>(&of_class[c]->sums[row][token]);
    float4 sum = parts[0];
#pragma unroll
    for (int c = 1; c < classes; ++c)
      sum = {sum.x + parts[c].x, sum.y + parts[c].y, sum.z + parts[c].z, sum.w + parts[c].w};
    put_block(product, row, token, sum.x);
    put_block(product, row, token + 1, sum.y);
    put_block(product, row, token + 2, sum.z);
    put_block(product, row, token + 3, sum.w);
  }
  cluster.sync();  // the others may still read
}

// Nothing but mma, in eight independent chains a warp.
__global__ void mac_rate_kernel(int rounds, float* out) {
  float sums[8][4] = {};
  const uint32_t a[4] = {threadIdx.x, threadIdx.x, threadIdx.x, threadIdx.x};
  for (int i = 0; i < rounds; ++i)
    for (auto& sum : sums) multiply(sum, a, threadIdx.x, threadIdx.x);
  float total = 0;
  for (const auto& sum : sums) total += sum[0] + sum[1] + sum[2] + sum[3];
  if (total == -1) *out = total;  // never: keeps the sums alive
}

}  // namespace

const uint16_t* CudaBackend::round_inputs(const Tensor& x, const PanelFormat& f) {
  if (x.dtype() == DType::bf16 && f.columns == f.padded_columns())
    return reinterpret_cast<const uint16_t*>(x.data<bf16>());
  uint16_t* const out = workspace().array<uint16_t>(x.size(0) * f.padded_columns());
  if (workspace().measuring()) return nullptr;
  if (x.dtype() == DType::bf16)
    launch("round_inputs", round_kernel<uint16_t>, {.x = x.size(0), .overlap = true},
           reinterpret_cast<const uint16_t*>(x.data<bf16>()), out, f.columns, f.padded_columns());
  else
    launch("round_inputs", round_kernel<float>, {.x = x.size(0), .overlap = true}, x.data<float>(), out, f.columns,
           f.padded_columns());
  return out;
}

void CudaBackend::run(const MatMul& op) {
  const PanelFormat f = format_of(op.linear.weight);
  const int64_t tokens = op.x.size(0);
  const Arena::Scope scope(workspace());
  const uint16_t* const x = round_inputs(op.x, f);
  if (workspace().measuring() || tokens == 0) return;
  const Product product{.weights = static_cast<const std::byte*>(op.linear.weight.data.raw()),
                        .f = f,
                        .x = x,
                        .bias = op.linear.bias.empty() ? nullptr : op.linear.bias.data<float>(),
                        .residual = op.residual.empty() ? nullptr : op.residual.data<float>(),
                        .out = op.out.data<float>(),
                        .tokens = tokens};
  dispatch_coded(f, [&]<typename Coded>() {
    const auto stream = [&]<int n_tiles>() {
      const int64_t resident = int64_t(processors_) * stream_blocks(n_tiles);
      launch("mat_mul", stream_kernel<Coded, n_tiles>,
             {.x = std::min(f.panels(), resident), .threads = stream_threads, .overlap = true}, product);
    };
    if (tokens <= 8) return stream.template operator()<1>();
    if (tokens <= 16) return stream.template operator()<2>();
    if (tokens <= 32) return stream.template operator()<4>();
    const int64_t groups = (f.panels() + block_warps - 1) / block_warps;
    const int64_t tiles = (tokens + block_tokens - 1) / block_tokens;
    const bool few = groups * tiles < int64_t(processors_) * 4;
    launch("mat_mul", few ? cluster_kernel<Coded> : block_kernel<Coded>,
           {.x = groups,
            .y = tiles,
            .z = few ? classes : 1,
            .threads = block_threads,
            .shared_bytes = sizeof(BlockShared<Coded>),
            .overlap = true},
           product);
  });
}

double CudaBackend::measure_mac_rate() {
  use_device();
  constexpr int rounds = 4096, threads = 512;
  const int64_t blocks = int64_t(processors_) * 2;
  const Tensor out = allocate(DType::f32, {1});
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    wait("mac_rate");
    const auto begin = std::chrono::steady_clock::now();
    launch("mac_rate", mac_rate_kernel, {.x = blocks, .threads = threads}, rounds, out.data<float>());
    wait("mac_rate");
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, double(blocks) * threads / 32 * rounds * 8 * (16 * 8 * 16) / seconds.count());
  }
  release(out);
  return best;
}

}  // namespace chorus::cuda
