#pragma once

#include <optional>
#include <string>

#include "engine/step_buffer.h"
#include "model/model.h"
#include "sampler/draw_plan.h"
#include "sampler/sampler.h"
#include "scheduler/plan.h"

namespace chorus::engine {

/// The largest step that a runner must be able to compute.
struct StepSize {
  int64_t tokens = 0;
  int64_t rows = 0;
  int64_t logits = 0;        ///< tokens whose logits are wanted
  int64_t table_blocks = 0;  ///< blocks in the table of one row
};

/// A row's next token, or why there is none.
struct DrawnToken {
  int32_t token_id = 0;
  float logprob = 0;
  std::optional<std::string> error = {};
};

/// Computes the scheduler's plans: sends the integers, runs the model, draws tokens where the logits are. All
/// memory is taken by the constructor. Steps of a shape that comes again and again are repeated from a record
/// (Backend::replay).
class StepRunner {
 public:
  StepRunner(Backend& backend, const LanguageModel& model, const StepSize& largest);
  StepRunner(const StepRunner&) = delete;
  ~StepRunner();

  /// Logits [L, V] f32 in the backend's memory, valid until the next step.
  Tensor logits(const scheduler::Plan& plan, const KvCache& kv);

  /// Computes a step and draws a token for every request. Rows are drawn side by side; each depends on its own
  /// logits and parameters only. Where runs_on() the step is only begun.
  void start(const scheduler::Plan& plan, const KvCache& kv, std::span<const sampler::DrawRequest> requests);
  /// The tokens of the step that was started, in the order of its requests, which must still be there.
  std::span<const DrawnToken> finish();
  /// Whether a step runs on while the host does something else.
  bool runs_on() const { return backend_.draws(); }

  /// Bytes that a runner of this size takes, apart from the kv cache.
  static size_t workspace_bytes(Backend& backend, const LanguageModel& model, const StepSize& largest);

 private:
  void put(const scheduler::Plan& plan, const KvCache& kv);
  Tensor run(const KvCache& kv, const Draw* draw);
  Draw put_draw(std::span<const sampler::DrawRequest> requests);
  void draw_on_host();
  DrawnToken draw_on_host(std::span<float> logits, const sampler::DrawRequest& request,
                          sampler::Scratch& scratch) const;
  DrawnToken draw_after_all(sampler::DrawRequest request, bool changed);
  void take_drawn();

  Backend& backend_;
  const LanguageModel& model_;
  StepBuffer buffer_;
  DeviceMemory workspace_;
  Step step_;
  std::vector<int64_t> key_;  ///< of the step's shape

  Tensor logits_;                                   ///< of the step that was started
  std::span<const sampler::DrawRequest> requests_;  ///< of it, too
  std::vector<DrawnToken> tokens_;
  std::vector<sampler::Scratch> scratch_;  ///< per thread, or one where the backend draws
  // Where the backend draws:
  sampler::DrawPlan draw_plan_;
  DeviceMemory drawn_;
  std::vector<float> one_row_;  ///< logits of a row that the host draws all the same
};

}  // namespace chorus::engine
