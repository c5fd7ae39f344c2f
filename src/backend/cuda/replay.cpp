// Steps of a shape that was seen before run from a CUDA graph: one launch in place of some hundred.
#include <algorithm>

#include "backend/cuda/cuda_backend.h"

namespace chorus::cuda {
namespace {

constexpr int steps_before_recording =
    2;  // recording costs as much as some steps: not for a shape that comes once

}  // namespace

GraphCache::Step* GraphCache::find(std::span<const int64_t> key) {
  if (key.size() > Step().key.size()) return nullptr;
  const auto same = [&](const Step& s) {
    return s.key_size == key.size() && std::equal(key.begin(), key.end(), s.key.begin());
  };
  auto found = std::find_if(steps_.begin(), steps_.end(), same);
  if (found == steps_.end()) {
    if (steps_.size() < most_steps) {
      found = steps_.emplace(steps_.end());
    } else {
      const auto older = [](const Step& a, const Step& b) { return a.last_use < b.last_use; };
      found = std::min_element(steps_.begin(), steps_.end(), older);
      if (found->graph != nullptr) cudaGraphExecDestroy(found->graph);
      *found = {};
    }
    std::copy(key.begin(), key.end(), found->key.begin());
    found->key_size = key.size();
  }
  found->last_use = ++uses_;
  return &*found;
}

void GraphCache::clear() {
  for (const Step& step : steps_)
    if (step.graph != nullptr) cudaGraphExecDestroy(step.graph);
  steps_.clear();
}

Tensor CudaBackend::replay(std::span<const int64_t> key, FunctionRef<Tensor()> body) {
  GraphCache::Step* const step = timer() == nullptr ? graphs_.find(key) : nullptr;
  if (step == nullptr) return body();
  use_device();
  if (step->graph == nullptr) {
    if (step->seen++ < steps_before_recording) return body();
    record(*step, body);
  }
  last_kernel_ = "a recorded step";
  check(cudaGraphLaunch(step->graph, stream_), last_kernel_);
  return step->result;
}

void CudaBackend::record(GraphCache::Step& step, FunctionRef<Tensor()> body) {
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    step.result = body();
  } catch (...) {
    cudaStreamEndCapture(stream_, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(stream_, &graph), "cudaStreamEndCapture");
  const cudaError_t made = cudaGraphInstantiate(&step.graph, graph, 0);
  cudaGraphDestroy(graph);
  check(made, "cudaGraphInstantiate");
}

}  // namespace chorus::cuda
