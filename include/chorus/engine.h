#pragma once

#include <functional>
#include <memory>
#include <variant>

#include "chorus/model.h"
#include "chorus/request.h"
#include "chorus/result.h"

namespace chorus {

struct EngineOptions {
  int64_t max_rows = 128;         ///< rows of a step
  int64_t max_step_tokens = 0;  ///< of a step: decode rows and prefill chunks; 0: 512 on a CPU, 2,048 on a GPU
  int64_t context = 0;            ///< positions of a row; 0 = the model's
  uint64_t kv_bytes = 0;          ///< kv cache; 0 = what the memory budget leaves, at most what max_rows can use
  bool share_prefixes = true;
};

/// A token of a row was generated; `text` is what it adds, whole characters only (often empty for one token).
struct TokenEvent {
  int64_t row;  ///< as returned by add()
  int32_t token_id;
  std::string_view text = {};
  bool reasoning;  ///< belongs to the analysis channel
};
/// A row ended.
struct FinishedEvent {
  int64_t row;
  Result result;
};
/// After every step.
struct ProgressEvent {
  int64_t rows_done, rows_running, rows_waiting;
  int64_t prompt_tokens, generated_tokens;  ///< computed so far
  uint64_t kv_bytes;  ///< the whole kv cache
};
using Event = std::variant<TokenEvent, FinishedEvent, ProgressEvent>;

/// Continuous batching: rows come at any time, every step() computes one step of the rows that fit, events tell what
/// happened. One thread steps; add() and cancel() may be called from any, an event handler may cancel.
class Engine {
 public:
  /// Plans and takes all memory. Throws Fault::memory if the budget holds no row.
  Engine(const Model& model, const Tokenizer& tokenizer, const EngineOptions& options = {});
  /// Without a tokenizer: results have token ids only.
  explicit Engine(const Model& model, const EngineOptions& options = {});
  ~Engine();
  Engine(Engine&&) noexcept;

  /// The row's number, counting from 0. Throws Fault::input for an empty prompt, one longer than the context or ids
  /// outside the vocabulary; Fault::usage for bad sampling parameters; Fault::memory for one that cannot fit.
  int64_t add(Request request);
  /// Throws what add() would throw.
  void check(const Request& request) const;
  /// The row ends with finish_reason cancelled at the next step.
  void cancel(int64_t row);

  /// Computes one step and reports what happened. False when no row is left.
  bool step(const std::function<void(const Event&)>& on_event);

  BatchStats stats() const;
  int64_t context() const;
  uint64_t kv_bytes() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace chorus
