#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "backend/cuda/graph_cache.h"
#include "backend/cuda/input_tiles.h"
#include "backend/cuda/lay_out.h"
#include "base/thread_pool.h"
#include "ops/backend.h"

namespace chorus::cuda {

/// Throws what a CUDA call reports; `what` names the call or the kernel.
void check(cudaError_t result, std::string_view what);

/// Threads of a kernel.
struct Grid {
  int64_t x = 1, y = 1, z = 1;
  int threads = 256;
  size_t shared_bytes = 0;
  /// The kernel may start while the one before it still runs. Each of its threads must call wait_for_inputs()
  /// (device.cuh) before anything else that touches memory, also where it has nothing to do.
  bool overlap = false;
};

constexpr size_t usual_shared_bytes = 40 << 10;  ///< a block gets 48 KB without asking, static memory included
constexpr int64_t most_attention_arrivals = 1 << 15;

/// One device, one stream. The residual stream and all sums are f32; what goes into products and attention is bf16,
/// and so are keys and values.
class CudaBackend : public Backend {
 public:
  CudaBackend(int device, int threads);
  ~CudaBackend() override;

  std::string_view name() const override { return name_; }
  ThreadPool& host_threads() override { return threads_; }

  Tensor allocate(DType dtype, Shape shape) override;
  void release(const Tensor& allocated) override;
  void upload(const Tensor& to, const void* from, size_t bytes) override;
  /// Waits for all that was launched.
  void download(void* to, const Tensor& from, size_t bytes) override;
  Tensor allocate_on_host(DType dtype, Shape shape) override;
  void synchronize() override { wait("synchronize"); }
  /// Records a step the third time that it comes, for up to 64 steps.
  Tensor replay(std::span<const int64_t> key, FunctionRef<Tensor()> body) override;

  Linear place(std::span<const Linear> parts) override;
  ExpertLinear place(const ExpertLinear& experts) override;
  std::pair<ExpertLinear, ExpertLinear> place_gate_up(const ExpertLinear& gate, const ExpertLinear& up) override;
  Matrix place_table(const Matrix& embedding) override { return place_panels({&embedding, 1}, format_for(embedding)); }
  Tensor place(const Tensor& vector) override;
  size_t placed_bytes() const override { return placed_bytes_; }

  /// block_tokens must be 16, head_dim a multiple of 16.
  KvLayer make_kv_layer(int64_t blocks, int64_t kv_heads, int64_t head_dim, int64_t block_tokens) override;
  size_t kv_element_bytes() const override { return 2; }
  int64_t usual_step_tokens() const override { return 2048; }
  DType activation_dtype() const override { return DType::f32; }
  DType input_dtype() const override { return DType::bf16; }

  double measure_mac_rate() override;
  Bandwidth measure_bandwidth() override;
  size_t used_bytes() override;
  double seconds_of(FunctionRef<void()> work) override;

  void run(const Embedding& op) override;
  void run(const RmsNorm& op) override;
  void run(const MatMul& op) override;
  void run(const RopeAngles& op) override;
  void run(const RopeStore& op) override;
  void run(const QkvRopeStore& op) override;
  void run(const PagedAttention& op) override;
  void run(const Routing& op) override;
  void run(const ExpertMlp& op) override;
  void run(const Rows& op) override;
  bool draws() const override { return true; }
  void run(const Draw& op) override;

 private:
  /// Pinned memory in two halves: one fills while the other is on its way.
  struct Staging {
    std::byte* memory = nullptr;
    cudaEvent_t sent[2] = {};
    int next = 0;
  };

  void use_device() const { check(cudaSetDevice(device_), "cudaSetDevice"); }
  std::byte* next_half();
  void send_half(std::byte* to, size_t bytes);
  void wait(std::string_view what);
  double elapsed(FunctionRef<void()> work);
  void record(GraphCache::Step& step, FunctionRef<Tensor()> body);
  /// The format's rows are counted anew.
  Matrix place_panels(std::span<const Matrix> parts, PanelFormat format);
  ExpertLinear place_experts(const ExpertLinear& experts, const PanelFormat& format);
  void stream_panels(const Stack& stack, const PanelFormat& format, std::byte* to);
  /// Whether the device itself makes panels of rows as they lie in the files; then stream_rows() sends those.
  static bool lays_out(const Matrix& m, const PanelFormat& format);
  void stream_rows(const Stack& stack, const PanelFormat& format, std::byte* to);

#ifdef __CUDACC__
  /// Launches and checks. A grid without threads is nothing to do.
  template <typename... P, typename... A>
  void launch(const char* kernel_name, void (*kernel)(P...), const Grid& grid, A... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    last_kernel_ = kernel_name;
    if (grid.shared_bytes > usual_shared_bytes)
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(grid.shared_bytes)),
            kernel_name);
    cudaLaunchAttribute overlap{};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(unsigned(grid.x), unsigned(grid.y), unsigned(grid.z));
    config.blockDim = dim3(unsigned(grid.threads));
    config.dynamicSmemBytes = grid.shared_bytes;
    config.stream = stream_;
    config.attrs = &overlap;
    config.numAttrs = grid.overlap ? 1 : 0;
    check(cudaLaunchKernelEx(&config, kernel, P(arguments)...), kernel_name);
  }
  /// A product (panel_product.cuh): as many warpgroups as are `wanted` by `tiles` of tokens, with a block for each unit
  /// of shape S, or, where those would be few, four for each of shape Split, unless it is void.
  template <typename S, typename Split, typename Product>
  void launch_product(const char* name, int64_t wanted, int64_t tiles, const Rows16& inputs, const Product& product);
#endif
  /// x [T, columns] in bf16, rows zero-filled to whole chunks: x itself if it is that, else taken from the workspace
  /// (null while measuring).
  const uint16_t* round_inputs(const Tensor& x, const PanelFormat& format);

  int device_;
  int processors_ = 0;
  ThreadPool threads_;
  std::string name_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t clock_[2] = {};
  double clock_cost_ = -1;  ///< seconds; not measured yet
  Staging staging_;
  Tensor raw_halves_;  ///< where rows wait to be laid out, as large as staging_
  GraphCache graphs_;
  const char* last_kernel_ = "none";
  std::unordered_map<void*, size_t> memory_;
  std::vector<void*> host_memory_;  ///< pinned
  size_t placed_bytes_ = 0;
  Tensor attention_arrivals_;  ///< i32, zeros between launches: see attention.cu
};

}  // namespace chorus::cuda
