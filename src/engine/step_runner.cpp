#include "engine/step_runner.h"

#include "chorus/error.h"
#include "engine/make_backend.h"

namespace chorus::engine {
namespace {

/// A step of the largest size without memory, to measure the workspace with.
Step measuring_step(const LanguageModel& model, const StepSize& s) {
  const auto ids = [](int64_t n) { return Tensor(DType::i32, {n}, nullptr); };
  Step step{.token_ids = ids(s.tokens), .positions = ids(s.tokens), .row_of_token = ids(s.tokens), .pools = {},
            .logit_tokens = ids(s.logits)};
  for (size_t p = 0; p < model.kv_shape().pools.size(); ++p)
    step.pools.push_back({.slots = ids(s.tokens),
                          .block_tables = Tensor(DType::i32, {s.rows, s.table_blocks}, nullptr),
                          .first_block = ids(s.rows)});
  return step;
}

Tensor fill(Backend& backend, const DeviceMemory& memory, const std::vector<int32_t>& values, Shape shape) {
  const Tensor target(DType::i32, shape, memory.tensor().raw());
  if (target.bytes() > memory.tensor().bytes())
    throw Error(Fault::internal, "a step is larger than planned")
        .with("planned", memory.tensor().shape().text()).with("actual", shape.text());
  backend.upload(target, values.data(), target.bytes());
  return target;
}

}  // namespace

size_t StepRunner::workspace_bytes(Backend& backend, const LanguageModel& model, const StepSize& largest) {
  backend.use_workspace(Arena());
  Ops ops(backend);
  // Kernels take scratch per layer alike, so layers without memory do: a cache of the right shape and no data.
  KvCache kv;
  for (size_t i = 0; i < model.kv_shape().pool_of_layer.size(); ++i)
    kv.layers.push_back({.keys = {}, .values = {}, .kv_heads = model.kv_shape().kv_heads,
                         .head_dim = model.kv_shape().head_dim, .block_tokens = 0});
  model.forward(ops, measuring_step(model, largest), kv);
  return backend.workspace().peak();
}

StepRunner::StepRunner(Backend& backend, const LanguageModel& model, const StepSize& largest)
    : backend_(backend), model_(model) {
  const auto ids = [&](int64_t n) { return DeviceMemory(backend, DType::i32, {n}); };
  token_ids_ = ids(largest.tokens);
  positions_ = ids(largest.tokens);
  row_of_token_ = ids(largest.tokens);
  logit_tokens_ = ids(largest.logits);
  for (size_t p = 0; p < model.kv_shape().pools.size(); ++p)
    pools_.push_back({.slots = ids(largest.tokens),
                      .block_tables = ids(largest.rows * largest.table_blocks),
                      .first_block = ids(largest.rows)});
  step_.pools.resize(pools_.size());
  const size_t bytes = workspace_bytes(backend, model, largest);
  workspace_ = DeviceMemory(backend, DType::u8, {int64_t(bytes)});
  if (!in_host_memory(backend)) host_logits_.resize(size_t(largest.logits * model.vocabulary()));
}

Tensor StepRunner::run(const scheduler::Plan& plan, const KvCache& kv) {
  const auto n = int64_t(plan.token_ids.size()), rows = int64_t(plan.query_begin.size()) - 1;
  step_.token_ids = fill(backend_, token_ids_, plan.token_ids, {n});
  step_.positions = fill(backend_, positions_, plan.positions, {n});
  step_.row_of_token = fill(backend_, row_of_token_, plan.row_of_token, {n});
  step_.logit_tokens = fill(backend_, logit_tokens_, plan.logit_tokens, {int64_t(plan.logit_tokens.size())});
  for (size_t p = 0; p < pools_.size(); ++p) {
    const scheduler::PoolPlan& pool = plan.pools[p];
    step_.pools[p] = {.slots = fill(backend_, pools_[p].slots, pool.slots, {n}),
                      .block_tables = fill(backend_, pools_[p].block_tables, pool.block_tables, {rows, pool.stride}),
                      .first_block = fill(backend_, pools_[p].first_block, pool.first_block, {rows})};
  }
  backend_.use_workspace(Arena(workspace_.tensor().raw(), workspace_.tensor().bytes()));
  Ops ops(backend_);
  const Tensor logits = model_.forward(ops, step_, kv);
  if (host_logits_.empty()) return logits;
  // Sampling happens on the host, so all logits come here, every step. Sampling on the device would send ids instead,
  // and a CUDA graph of forward() would go around the call above.
  backend_.download(host_logits_.data(), logits, logits.bytes());
  return {DType::f32, logits.shape(), host_logits_.data()};
}

}  // namespace chorus::engine
