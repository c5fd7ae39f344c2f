#pragma once

#include "model/model.h"
#include "scheduler/plan.h"

namespace chorus::engine {

/// The largest step that a runner must be able to compute.
struct StepSize {
  int64_t tokens = 0;
  int64_t rows = 0;
  int64_t logits = 0;        ///< tokens whose logits are wanted
  int64_t table_blocks = 0;  ///< blocks in the table of one row
};

/// Memory of a backend that is given back at the end.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Backend& backend, DType dtype, Shape shape)
      : backend_(&backend), tensor_(backend.allocate(dtype, shape)) {}
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(tensor_, other.tensor_);
    return *this;
  }
  ~DeviceMemory() {
    if (backend_ != nullptr) backend_->release(tensor_);
  }
  const Tensor& tensor() const { return tensor_; }

 private:
  Backend* backend_ = nullptr;
  Tensor tensor_;
};

/// Computes the scheduler's plans: uploads the integers, runs the model, brings the logits back. All memory is taken
/// by the constructor.
class StepRunner {
 public:
  StepRunner(Backend& backend, const LanguageModel& model, const StepSize& largest);

  /// Logits [L, V] f32 in host memory, valid until the next run. They may be changed in place.
  Tensor run(const scheduler::Plan& plan, const KvCache& kv);

  /// Bytes that a runner of this size takes, apart from the kv cache.
  static size_t workspace_bytes(Backend& backend, const LanguageModel& model, const StepSize& largest);

 private:
  struct PoolBuffers {
    DeviceMemory slots, block_tables, first_block;
  };

  Backend& backend_;
  const LanguageModel& model_;
  DeviceMemory token_ids_, positions_, row_of_token_, logit_tokens_, workspace_;
  std::vector<PoolBuffers> pools_;
  Step step_;
  std::vector<float> host_logits_;  ///< where the backend's memory is not the host's
};

}  // namespace chorus::engine
