#include <chrono>

#include "backend/cuda/panel_product.cuh"

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
/// null. Grid: units of panels x tiles of tokens.
template <int n_tokens>
struct Product {
  static constexpr bool early = true;
  static constexpr int matrices = 1;

  const std::byte* weights;
  PanelFormat f;
  const float *bias, *residual;
  float* out;
  int64_t tokens;

  __device__ const PanelFormat& format() const { return f; }
  __device__ int64_t first_token() const { return int64_t(blockIdx.y) * n_tokens; }
  template <typename S>
  __device__ bool find(Unit<S::panels>& unit) const {
#pragma unroll
    for (int g = 0; g < S::groups; ++g)  // past the last: not put
      unit.panels[g] = weights + min(int64_t(blockIdx.x) * S::groups + g, f.panels() - 1) * f.panel_bytes();
    unit.first_row = int(first_token());
    unit.tokens = int(min(tokens - first_token(), int64_t(n_tokens)));
    return true;
  }
  __device__ void put(int token, int panel, int row_in_panel, const float (&sums)[1]) const {
    const int64_t row = int64_t(panel) * panel_rows + row_in_panel;
    if (row >= f.rows) return;
    const int64_t at = (first_token() + token) * f.rows + row;
    const float sum = bias != nullptr ? sums[0] + bias[row] : sums[0];
    out[at] = residual != nullptr ? residual[at] + sum : sum;
  }
};

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
  const auto multiply = [&]<int n_tokens, int groups, int stage_chunks, int most_blocks>() {
    constexpr bool large = n_tokens > 64;
    const Product<n_tokens> product{.weights = static_cast<const std::byte*>(op.linear.weight.data.raw()),
                                    .f = f,
                                    .bias = op.linear.bias.empty() ? nullptr : op.linear.bias.data<float>(),
                                    .residual = op.residual.empty() ? nullptr : op.residual.data<float>(),
                                    .out = op.out.data<float>(),
                                    .tokens = tokens};
    dispatch_coded(f, [&]<typename Coded>() {
      constexpr int fitting = Coded::kind == PanelKind::f32 ? std::min(groups, 2) : groups;  // in shared memory
      using S = Shape<Coded, 1, n_tokens, fitting, stage_chunks, most_blocks>;
      using Split = std::conditional_t<large, Shape<Coded, 1, n_tokens, 1, 1, 3, true>, S>;
      launch_product<S, Split>("mat_mul", f.panels(), (tokens + n_tokens - 1) / n_tokens,
                               {x, tokens, f.padded_columns()}, product);
    });
  };
  // By measurement (docs/performance-cuda.md). Few blocks a multiprocessor leave room for all of a class's chunks;
  // two warpgroups that share their inputs halve what the cache is asked for most.
  if (tokens <= 8)
    multiply.template operator()<8, 1, 2, 3>();
  else if (tokens <= 16)
    multiply.template operator()<16, 1, 2, 3>();
  else if (tokens <= 32)
    multiply.template operator()<32, 1, 2, 3>();
  else if (tokens <= 64)
    multiply.template operator()<64, 1, 2, 3>();
  else if (tokens <= 104)
    multiply.template operator()<104, 3, 1, 1>();
  else
    multiply.template operator()<128, 2, 1, 1>();
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
