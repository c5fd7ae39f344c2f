#include <chrono>

#include "backend/cuda/panel_product.cuh"

namespace chorus::cuda {
namespace {

__global__ void round_kernel(const float* x, uint16_t* out, int64_t columns, int64_t padded) {
  for (int64_t c = threadIdx.x; c < padded; c += blockDim.x)
    out[blockIdx.x * padded + c] = c < columns ? bf16_bits(x[blockIdx.x * columns + c]) : uint16_t(0);
}

// Bound by the weights' bytes up to some tens of tokens. Grid: panels x token tiles.
template <PanelKind kind, int n_tiles>
__global__ void __launch_bounds__(product_threads)
    mat_mul_kernel(const std::byte* weights, PanelFormat f, const uint16_t* x, const float* bias, float* out,
                   int64_t tokens) {
  __shared__ SharedSums<n_tiles> shared;
  const int lane = int(threadIdx.x) % 32;
  const int64_t first = int64_t(blockIdx.y) * n_tiles * 8;
  const uint16_t* rows[n_tiles];
  for (int n = 0; n < n_tiles; ++n)  // past the last token: any
    rows[n] = x + min(first + n * 8 + lane / 4, tokens - 1) * f.padded_columns();
  float sums[n_tiles][4];
  multiply_panel<kind, n_tiles>(weights + blockIdx.x * f.panel_bytes(), f, rows, sums);
  shared.put(sums);
  __syncthreads();
  for (int i = int(threadIdx.x); i < n_tiles * 8 * panel_rows; i += product_threads) {
    const int token = i / panel_rows, row = i % panel_rows;
    const int64_t t = first + token, o = int64_t(blockIdx.x) * panel_rows + row;
    if (t < tokens && o < f.rows) out[t * f.rows + o] = shared.total(token, row) + (bias != nullptr ? bias[o] : 0);
  }
}

// A warp per output and token, in f32: for the router, a few outputs.
template <PanelKind kind>
__global__ void exact_kernel(const std::byte* weights, PanelFormat f, const float* x, const float* bias,
                             float* out) {
  const int lane = int(threadIdx.x) % 32;
  const int64_t o = int64_t(blockIdx.y) * (blockDim.x / 32) + threadIdx.x / 32, t = blockIdx.x;
  if (o >= f.rows) return;
  const std::byte* panel = weights + o / panel_rows * f.panel_bytes();
  float sum = 0;
  for (int64_t c = lane; c < f.columns; c += 32)
    sum = fmaf(weight_at<kind>(panel, f, int(o % panel_rows), c), x[t * f.columns + c], sum);
  sum = warp_sum(sum);
  if (lane == 0) out[t * f.rows + o] = sum + (bias != nullptr ? bias[o] : 0);
}

// Nothing but mma, in eight independent chains a warp.
__global__ void mac_rate_kernel(int rounds, float* out) {
  float sums[8][4] = {};
  const uint32_t a[4] = {threadIdx.x, threadIdx.x, threadIdx.x, threadIdx.x};
  for (int i = 0; i < rounds; ++i)
    for (auto& sum : sums) mma(sum, a, threadIdx.x, threadIdx.x);
  float total = 0;
  for (const auto& sum : sums) total += sum[0] + sum[1] + sum[2] + sum[3];
  if (total == -1) *out = total;  // never: keeps the sums alive
}

}  // namespace

uint16_t* CudaBackend::round_inputs(const Tensor& x, const PanelFormat& f) {
  uint16_t* const out = workspace().array<uint16_t>(x.size(0) * f.padded_columns());
  if (!workspace().measuring())
    launch("round_inputs", round_kernel, {.x = x.size(0)}, x.data<float>(), out, f.columns, f.padded_columns());
  return out;
}

void CudaBackend::run(const MatMul& op) {
  const PanelFormat f = format_of(op.linear.weight);
  const int64_t tokens = op.x.size(0);
  const Arena::Scope scope(workspace());
  const uint16_t* const x = op.exact_inputs ? nullptr : round_inputs(op.x, f);
  if (workspace().measuring()) return;
  const auto* const weights = static_cast<const std::byte*>(op.linear.weight.data.raw());
  const float* const bias = op.linear.bias.empty() ? nullptr : op.linear.bias.data<float>();
  dispatch_kind(f.kind, [&]<PanelKind kind>() {
    if (op.exact_inputs)
      return launch("exact_mat_mul", exact_kernel<kind>, {.x = tokens, .y = (f.rows + 7) / 8}, weights, f,
                    op.x.data<float>(), bias, op.out.data<float>());
    const auto tiled = [&]<int n_tiles>() {
      launch("mat_mul", mat_mul_kernel<kind, n_tiles>,
             {.x = f.panels(), .y = (tokens + n_tiles * 8 - 1) / (n_tiles * 8), .threads = product_threads},
             weights, f, x, bias, op.out.data<float>(), tokens);
    };
    if (tokens <= 8)
      tiled.template operator()<1>();
    else if (tokens <= 16)
      tiled.template operator()<2>();
    else if (tokens <= 32)
      tiled.template operator()<4>();
    else
      tiled.template operator()<8>();
  });
}

double CudaBackend::measure_mac_rate() {
  use_device();
  constexpr int rounds = 4096, threads = 512;
  int processors = 0;
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device_), "cudaDeviceGetAttribute");
  const int64_t blocks = int64_t(processors) * 2;
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
