#include "engine/step_runner.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>

#include "chorus/error.h"

namespace chorus::engine {
namespace {

// Worth a record: steps of decode rows alone, whose shape stays while the rows do, and short ones. Steps with
// prefill chunks have a shape of their own nearly each time, and are long enough to hide their launches.
bool comes_again(int64_t tokens, int64_t rows) {
  return tokens <= 64 || (tokens == rows && tokens <= 512);
}

Tensor unplaced(int64_t n) {
  return {DType::i32, {n}, nullptr};
}

/// A step of the largest size without memory, to measure the workspace with.
Step measuring_step(const LanguageModel& model, const StepSize& s) {
  Step step{.token_ids = unplaced(s.tokens),
            .positions = unplaced(s.tokens),
            .row_of_token = unplaced(s.tokens),
            .pools = {},
            .logit_tokens = unplaced(s.logits)};
  for (size_t p = 0; p < model.kv_shape().pools.size(); ++p)
    step.pools.push_back({.slots = unplaced(s.tokens),
                          .block_tables = Tensor(DType::i32, {s.rows, s.table_blocks}, nullptr),
                          .first_block = unplaced(s.rows)});
  return step;
}

/// What grows with the context is rounded up to a power of two, so that the shape of a step rarely changes.
int64_t rounded_positions(int64_t n) {
  return int64_t(std::bit_ceil(uint64_t(std::max<int64_t>(n, 256))));
}
int64_t rounded_blocks(int64_t n) {
  return int64_t(std::bit_ceil(uint64_t(std::max<int64_t>(n, 16))));
}

/// What StepRunner::put() and put_draw() need at most.
size_t buffer_bytes(const LanguageModel& model, const StepSize& s, bool draws) {
  const auto ids = [](int64_t n) { return StepBuffer::bytes_of(size_t(n) * sizeof(int32_t)); };
  size_t bytes = 3 * ids(s.tokens) + ids(s.logits);
  bytes +=
      model.kv_shape().pools.size() * (ids(s.tokens) + ids(s.rows) + ids(s.rows * rounded_blocks(s.table_blocks)));
  if (draws)
    bytes += StepBuffer::bytes_of(size_t(s.logits) * sizeof(DrawRow)) +
             StepBuffer::bytes_of(size_t(sampler::DrawPlan::max_changes(s.logits)) * sizeof(LogitChange));
  return bytes;
}

Draw measuring_draw(const Tensor& logits) {
  const auto structs = [](int64_t n, size_t bytes) { return Tensor(DType::u8, {n, int64_t(bytes)}, nullptr); };
  const int64_t rows = logits.size(0);
  return {.logits = logits,
          .rows = structs(rows, sizeof(DrawRow)),
          .changes = structs(0, sizeof(LogitChange)),
          .out = structs(rows, sizeof(Drawn))};
}

/// Of this process: two runners' steps are never the same.
int64_t next_runner() {
  static std::atomic<int64_t> runners{0};
  return ++runners;
}

}  // namespace

size_t StepRunner::workspace_bytes(Backend& backend, const LanguageModel& model, const StepSize& largest) {
  backend.use_workspace(Arena());
  Ops ops(backend);
  // Kernels take scratch per layer alike, so layers without memory do: a cache of the right shape and no data.
  KvCache kv;
  for (size_t i = 0; i < model.kv_shape().pool_of_layer.size(); ++i)
    kv.layers.push_back({.keys = {},
                         .values = {},
                         .kv_heads = model.kv_shape().kv_heads,
                         .head_dim = model.kv_shape().head_dim,
                         .block_tokens = 0});
  const Tensor logits = model.forward(ops, measuring_step(model, largest), kv);
  if (backend.draws()) ops.draw(measuring_draw(logits));
  return backend.workspace().peak();
}

StepRunner::StepRunner(Backend& backend, const LanguageModel& model, const StepSize& largest)
    : backend_(backend),
      model_(model),
      buffer_(backend, buffer_bytes(model, largest, backend.draws())),
      draw_plan_(backend.draws() ? model.vocabulary() : 0, backend.draws() ? largest.logits : 0) {
  step_.pools.resize(model.kv_shape().pools.size());
  key_ = {next_runner()};
  key_.reserve(8 + step_.pools.size());
  const size_t bytes = workspace_bytes(backend, model, largest);
  workspace_ = DeviceMemory(backend, DType::u8, {int64_t(bytes)});
  const int threads = backend.draws() ? 1 : backend.host_threads().size();
  for (int i = 0; i < threads; ++i) scratch_.emplace_back(model.vocabulary());
  tokens_.reserve(size_t(largest.logits));
  if (!backend.draws()) return;
  drawn_ = DeviceMemory(backend, backend.allocate_on_host(DType::u8, {largest.logits, int64_t(sizeof(Drawn))}));
  one_row_.resize(size_t(model.vocabulary()));
}

StepRunner::~StepRunner() {
  try {
    backend_.synchronize();  // before memory goes that a step under way uses
  } catch (const Error&) {
    // there is no one left to tell
  }
}

void StepRunner::put(const scheduler::Plan& plan, const KvCache& kv) {
  const auto n = int64_t(plan.token_ids.size()), rows = int64_t(plan.query_begin.size()) - 1;
  const auto ids = [&](const std::vector<int32_t>& values) {
    return buffer_.put(DType::i32, {int64_t(values.size())}, std::span<const int32_t>(values));
  };
  key_.resize(1);  // the runner
  key_.insert(key_.end(), {std::bit_cast<int64_t>(kv.layers.empty() ? nullptr : kv.layers[0].keys.raw()), n, rows,
                           int64_t(plan.logit_tokens.size())});
  step_.longest = rounded_positions(int64_t(std::ranges::max(plan.positions)) + 1);
  key_.push_back(step_.longest);
  buffer_.clear();
  step_.token_ids = ids(plan.token_ids);
  step_.positions = ids(plan.positions);
  step_.row_of_token = ids(plan.row_of_token);
  step_.logit_tokens = ids(plan.logit_tokens);
  for (size_t p = 0; p < step_.pools.size(); ++p) {
    const scheduler::PoolPlan& pool = plan.pools[p];
    const int64_t width = rounded_blocks(pool.stride);
    int32_t* tables = nullptr;
    step_.pools[p] = {.slots = ids(pool.slots),
                      .block_tables = buffer_.put(DType::i32, {rows, width}, tables),
                      .first_block = ids(pool.first_block)};
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(pool.block_tables.data() + r * pool.stride, pool.stride, tables + r * width);
    key_.push_back(width);
  }
}

Draw StepRunner::put_draw(std::span<const sampler::DrawRequest> requests) {
  draw_plan_.make(requests);
  key_.push_back(int64_t(requests.size()));
  const auto structs = [&]<typename T>(std::span<const T> values) {
    return buffer_.put(DType::u8, {int64_t(values.size()), int64_t(sizeof(T))}, values);
  };
  Draw draw{.logits = {}, .rows = structs(draw_plan_.rows()), .changes = structs(draw_plan_.changes()), .out = {}};
  draw.out = {DType::u8, {int64_t(requests.size()), int64_t(sizeof(Drawn))}, drawn_.tensor().raw()};
  return draw;
}

/// With a Draw (its logits still to be named), tokens are drawn, too.
Tensor StepRunner::run(const KvCache& kv, const Draw* draw) {
  buffer_.send(backend_);
  const auto body = [&]() -> Tensor {
    backend_.use_workspace(Arena(workspace_.tensor().raw(), workspace_.tensor().bytes()));
    Ops ops(backend_);
    const Tensor logits = model_.forward(ops, step_, kv);
    if (draw != nullptr)
      ops.draw({.logits = logits, .rows = draw->rows, .changes = draw->changes, .out = draw->out});
    return logits;
  };
  return comes_again(step_.tokens(), step_.pools[0].first_block.size(0)) ? backend_.replay(key_, body) : body();
}

Tensor StepRunner::logits(const scheduler::Plan& plan, const KvCache& kv) {
  put(plan, kv);
  return run(kv, nullptr);
}

void StepRunner::start(const scheduler::Plan& plan, const KvCache& kv,
                       std::span<const sampler::DrawRequest> requests) {
  requests_ = requests;
  put(plan, kv);
  if (!backend_.draws() || requests.empty()) {
    logits_ = run(kv, nullptr);
  } else {
    const Draw draw = put_draw(requests);
    logits_ = run(kv, &draw);
  }
}

std::span<const DrawnToken> StepRunner::finish() {
  tokens_.assign(requests_.size(), {});
  if (!backend_.draws()) {
    draw_on_host();
  } else {
    backend_.synchronize();
    take_drawn();
  }
  return tokens_;
}

DrawnToken StepRunner::draw_on_host(std::span<float> logits, const sampler::DrawRequest& request,
                                    sampler::Scratch& scratch) const {
  try {
    const sampler::Sampled sampled = sampler::sample(logits, *request.params, request.tokens, request.row_key,
                                                     int64_t(request.tokens.size()), scratch);
    return {.token_id = sampled.token_id, .logprob = sampled.logprob};
  } catch (const Error& e) {
    return {.token_id = 0, .logprob = 0, .error = e.one_line()};
  }
}

void StepRunner::draw_on_host() {
  backend_.host_threads().for_each_on_thread(int64_t(requests_.size()), [&](int64_t i, int thread) {
    const sampler::DrawRequest& request = requests_[size_t(i)];
    tokens_[size_t(i)] = draw_on_host(logits_.row<float>(request.logits), request, scratch_[size_t(thread)]);
  });
}

/// Where the backend could not. `changed`: it has added bias and penalties to the logits already.
DrawnToken StepRunner::draw_after_all(sampler::DrawRequest request, bool changed) {
  const Tensor row = logits_.rows(request.logits, request.logits + 1);
  backend_.download(one_row_.data(), row, row.bytes());
  if (!changed) return draw_on_host(one_row_, request, scratch_[0]);
  SamplingParams params = *request.params;
  params.logit_bias.clear();
  params.repetition_penalty = 1;
  params.presence_penalty = params.frequency_penalty = 0;
  request.params = &params;
  return draw_on_host(one_row_, request, scratch_[0]);
}

void StepRunner::take_drawn() {
  const auto* const drawn = static_cast<const Drawn*>(drawn_.tensor().raw());
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (draw_plan_.for_host(i) || drawn[i].status == DrawStatus::undecided)
      tokens_[i] = draw_after_all(requests_[i], /*changed=*/!draw_plan_.for_host(i));
    else if (drawn[i].status == DrawStatus::not_finite)
      tokens_[i] = {.error = sampler::not_finite(drawn[i].logprob).one_line()};
    else
      tokens_[i] = {.token_id = drawn[i].token_id, .logprob = drawn[i].logprob};
  }
}

}  // namespace chorus::engine
