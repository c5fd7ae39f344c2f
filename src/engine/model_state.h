#pragma once

#include <mutex>

#include "chorus/model.h"
#include "engine/step_runner.h"
#include "model/model.h"
#include "ops/op_timer.h"
#include "scheduler/plan.h"
#include "weights/weights.h"

namespace chorus {

struct Model::State {
  explicit State(Weights w) : weights(std::move(w)) {}

  Weights weights;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<LanguageModel> network;
  std::vector<int32_t> eos_token_ids;
  uint64_t memory_bytes = 0;  // budget for everything
  std::unique_ptr<OpTimer> timer;
  std::mutex turn;            // one step at a time on a backend

  /// What the budget leaves beside the weights.
  uint64_t free_bytes() const {
    const uint64_t placed = backend->placed_bytes();
    return memory_bytes > placed ? memory_bytes - placed : 0;
  }
};

/// One row with a block table of its own that never moves.
struct PromptCache::State {
  State(Model::State& model, int64_t capacity);

  Model::State& model;
  std::vector<int64_t> blocks;
  OwnedKvCache kv;
  engine::StepRunner runner;
  scheduler::Plan plan;
  int64_t capacity, positions = 0;

  /// At most `max_chunk` tokens: logits [n, V] in the workspace.
  Tensor feed(std::span<const int32_t> ids);
  static constexpr int64_t block_tokens = 16, max_chunk = 64;
};

}  // namespace chorus
