#include <chrono>

#include "backend/cuda/dense_product.cuh"

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

/// out = x W^T + bias + residual: out [tokens, rows]; the residual may be null.
template <int n_tokens>
struct Product : DenseProduct<n_tokens> {
  const float* residual;
  float* out;

  __device__ void put(int token, int panel, int row_in_panel, const float (&sums)[1]) const {
    const int64_t row = int64_t(panel) * panel_rows + row_in_panel, rows = this->f.rows;
    if (row >= rows) return;
    const int64_t at = (this->first_token() + token) * rows + row;
    const float sum = this->bias != nullptr ? sums[0] + this->bias[row] : sums[0];
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
  const float* const residual = op.residual.empty() ? nullptr : op.residual.data<float>();
  dispatch_dense(f, tokens, [&]<typename S, typename Split>() {
    launch_product<S, Split>("mat_mul", f.panels(), (tokens + S::n_tokens - 1) / S::n_tokens,
                             {x, tokens, f.padded_columns()},
                             Product<S::n_tokens>{{op.linear, tokens}, residual, op.out.data<float>()});
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
