#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "chorus/engine.h"

namespace chorus {

/// The model once per device that options.device names: "cuda:all" is every CUDA device, "cuda:0,cuda:2" are two. One
/// named twice has it twice; then options.memory_bytes, which is each one's, should be given.
std::vector<Model> load_replicas(std::string_view name, const LoadOptions& options = {});

/// Engines of equal models, one per device, that share one queue: a row goes to the first that has room for it.
/// Used like an Engine, by one thread; with several models each engine steps on a thread of its own.
class Replicas {
 public:
  /// `tokenizer` may be null: then results have token ids only.
  Replicas(const std::vector<Model>& models, const Tokenizer* tokenizer, const EngineOptions& options = {});
  /// Rows that have not ended are given up.
  ~Replicas();
  Replicas(const Replicas&) = delete;

  /// As Engine::add().
  int64_t add(Request request);
  /// Waits for what happens next and reports it. False when no row is left. Throws what an engine threw.
  bool step(const std::function<void(const Event&)>& on_event);
  /// Counts and rates of all engines together; times of the one that took longest.
  BatchStats stats() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace chorus
