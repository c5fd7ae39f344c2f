#include "chorus/engine.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>

#include "base/memory.h"
#include "chorus/error.h"
#include "engine/kv_plan.h"
#include "engine/model_state.h"
#include "engine/row.h"
#include "engine/step_times.h"
#include "scheduler/scheduler.h"

namespace chorus {
namespace {

using engine::Clock;
using engine::Row;
using engine::seconds_between;
using scheduler::Outcome;
using scheduler::Plan;

constexpr int64_t usual_answer = 1024;  // tokens

scheduler::Limits limits_of(const KvShape& shape, const EngineOptions& o, int64_t context, const engine::KvPlan& kv) {
  scheduler::Limits limits{.block_tokens = engine::kv_block_tokens,
                           .max_rows = o.max_rows,
                           .max_step_tokens = o.max_step_tokens,
                           .context = context,
                           .pools = {},
                           .share_prefixes = o.share_prefixes};
  for (size_t p = 0; p < shape.pools.size(); ++p)
    limits.pools.push_back({.window = shape.pools[p].window, .blocks = kv.blocks[p]});
  return limits;
}

EngineOptions checked(EngineOptions o, int64_t model_context, int64_t usual_step_tokens) {
  if (o.max_rows < 1 || o.max_rows > 65536)
    throw Error(Fault::usage, "bad max_rows").with("expected", "1 to 65536").with("actual", o.max_rows);
  if (o.context == 0) o.context = model_context;
  if (o.context < 1 || o.context > model_context)
    throw Error(Fault::usage, "bad context").with("actual", o.context).with("the model's context", model_context);
  if (o.max_step_tokens == 0) o.max_step_tokens = usual_step_tokens;
  o.max_step_tokens = std::max(o.max_step_tokens, o.max_rows);
  return o;
}

engine::StepSize largest_step(const EngineOptions& o) {
  return {.tokens = o.max_step_tokens,
          .rows = o.max_rows,
          .logits = o.max_rows,
          .table_blocks = (o.context + engine::kv_block_tokens - 1) / engine::kv_block_tokens};
}

engine::KvPlan kv_plan(Model::State& model, const EngineOptions& o) {
  uint64_t budget = o.kv_bytes;
  if (budget == 0) {
    const uint64_t workspace = engine::StepRunner::workspace_bytes(*model.backend, *model.network, largest_step(o));
    budget = model.free_bytes() > workspace ? model.free_bytes() - workspace : 0;
  }
  return engine::plan_kv(model.network->kv_shape(), model.backend->kv_element_bytes(), budget, o.max_rows,
                         o.max_step_tokens, o.context);
}

}  // namespace

struct Engine::State {
  State(const Model& m, const Tokenizer* t, const EngineOptions& o);

  void check_request(const Request& request) const;
  int64_t add(Request request);
  bool step(const std::function<void(const Event&)>& on_event);
  BatchStats current_stats() const;

  Model model;
  std::optional<Tokenizer> tokenizer;
  EngineOptions options;
  engine::KvPlan kv;
  OwnedKvCache cache;
  engine::StepRunner runner;
  scheduler::Scheduler scheduler;

  mutable std::mutex mutex;  // rows and scheduler
  std::vector<std::unique_ptr<Row>> rows;  // by number; null when ended
  int64_t rows_done = 0;
  std::mutex cancel_mutex;  // apart, so that an event handler may cancel
  std::vector<int64_t> to_cancel;

 private:
  /// A token that its row has not been told of.
  struct News {
    int64_t row;
    engine::DrawnToken drawn;
    bool last;  ///< none can follow
  };

  void start_step(Clock::time_point now);
  void finish_step();
  bool is_eos(int32_t token_id) const;
  bool ends(const Row& row, const engine::DrawnToken& drawn) const;
  void cancel_rows(const std::function<void(const Event&)>& on_event);
  void note_started(const Plan& plan, Clock::time_point now);
  void settle(const News& news, const std::function<void(const Event&)>& on_event);
  void end_row(int64_t number, const std::function<void(const Event&)>& on_event);
  void count_step(const Plan& plan, double seconds);

  const Plan* under_way_ = nullptr;  // the scheduler's, of the step that was started
  Clock::time_point counted_;        // up to where the time of step() belongs to finished steps
  Clock::duration left_over_{};      // of the last step(), after that
  std::vector<sampler::DrawRequest> requests_;
  std::vector<Outcome> outcomes_;
  std::vector<News> news_;
  BatchStats stats_;
  engine::StepTimes token_times_;
  int64_t prefilled_tokens_ = 0;
};

Engine::State::State(const Model& m, const Tokenizer* t, const EngineOptions& o)
    : model(m),
      tokenizer(t != nullptr ? std::optional<Tokenizer>(*t) : std::nullopt),
      options(checked(o, m.context(), m.state().backend->usual_step_tokens())),
      kv(kv_plan(m.state(), options)),
      cache(*m.state().backend, m.state().network->kv_shape(), kv.blocks, engine::kv_block_tokens),
      runner(*m.state().backend, *m.state().network, largest_step(options)),
      scheduler(limits_of(m.state().network->kv_shape(), options, options.context, kv)) {
  requests_.reserve(size_t(options.max_rows));
  news_.reserve(size_t(options.max_rows));
  outcomes_.reserve(size_t(options.max_rows));
}

// Reads nothing that changes: any thread may ask.
void Engine::State::check_request(const Request& request) const {
  chorus::check(request.sampling, model.vocabulary());
  for (size_t i = 0; i < request.prompt.size(); ++i)
    if (request.prompt[i] < 0 || request.prompt[i] >= model.vocabulary())
      throw Error(Fault::input, "token id is not in the vocabulary")
          .with("position", i).with("token id", request.prompt[i]).with("vocabulary", model.vocabulary());
  scheduler.check(int64_t(request.prompt.size()), request.stop.max_tokens);
}

int64_t Engine::State::add(Request request) {
  check_request(request);
  auto row = std::make_unique<Row>(std::move(request), tokenizer ? &tokenizer->state() : nullptr);
  row->added = Clock::now();
  const std::lock_guard lock(mutex);
  const int64_t number = scheduler.add({.prompt = row->request().prompt,
                                        .max_new_tokens = row->request().stop.max_tokens,
                                        .priority = row->request().priority,
                                        .all_logits = false});
  rows.resize(size_t(number) + 1);
  rows[size_t(number)] = std::move(row);
  ++stats_.rows;
  return number;
}

// Where a step runs on by itself, the next one is under way before the rows are told of their tokens: text, events and
// results are made meanwhile. A row that its text ends is then in a step whose token of it is dropped.
bool Engine::State::step(const std::function<void(const Event&)>& on_event) {
  const std::lock_guard lock(mutex);
  const Clock::time_point begin = Clock::now();
  counted_ = begin - left_over_;
  const bool finished = under_way_ != nullptr;
  if (finished) finish_step();
  cancel_rows(on_event);
  start_step(begin);
  if (!finished && under_way_ == nullptr) return false;
  if (under_way_ != nullptr && !runner.runs_on()) finish_step();
  for (const News& news : news_) settle(news, on_event);
  news_.clear();
  const scheduler::Counts counts = scheduler.counts();
  on_event(ProgressEvent{.rows_done = rows_done,
                         .rows_running = counts.running,
                         .rows_waiting = counts.waiting,
                         .prompt_tokens = prefilled_tokens_,
                         .generated_tokens = stats_.generation_tokens,
                         .kv_bytes = kv.bytes});
  left_over_ = Clock::now() - counted_;
  return true;
}

void Engine::State::start_step(Clock::time_point now) {
  const Plan& plan = scheduler.next();
  if (plan.empty()) return;
  note_started(plan, now);
  requests_.clear();
  for (const scheduler::Sample& s : plan.samples) {
    const Request& request = rows[size_t(s.id)]->request();
    requests_.push_back(
        {.params = &request.sampling, .tokens = s.tokens, .row_key = request.row_key, .logits = s.logit});
  }
  const std::lock_guard turn(model.state().turn);
  runner.start(plan, cache.get(), requests_);
  under_way_ = &plan;
}

// The scheduler is told at once; what a token means for its row's text can wait.
void Engine::State::finish_step() {
  const Plan& plan = *std::exchange(under_way_, nullptr);
  std::span<const engine::DrawnToken> drawn;
  {
    const std::lock_guard turn(model.state().turn);
    drawn = runner.finish();
  }
  outcomes_.clear();
  for (size_t i = 0; i < plan.samples.size(); ++i) {
    const scheduler::Sample& sample = plan.samples[i];
    const Row* const row = rows[size_t(sample.id)].get();  // null: its text ended it meanwhile
    outcomes_.push_back({.token_id = drawn[i].token_id, .finished = row == nullptr || ends(*row, drawn[i])});
    if (row != nullptr) news_.push_back({.row = sample.id, .drawn = drawn[i], .last = sample.last});
  }
  const Clock::time_point now = Clock::now();
  count_step(plan, seconds_between(std::exchange(counted_, now), now));
  scheduler.commit(outcomes_);
}

void Engine::State::cancel_rows(const std::function<void(const Event&)>& on_event) {
  const std::lock_guard lock(cancel_mutex);
  for (const int64_t number : to_cancel) {
    if (number < 0 || number >= int64_t(rows.size()) || rows[size_t(number)] == nullptr) continue;
    scheduler.cancel(number);
    rows[size_t(number)]->finish(FinishReason::cancelled);
    end_row(number, on_event);
  }
  to_cancel.clear();
}

void Engine::State::note_started(const Plan& plan, Clock::time_point now) {
  for (const scheduler::PlanRow& planned : plan.rows) {
    Row& row = *rows[size_t(planned.id)];
    if (row.started != Clock::time_point()) continue;
    row.started = now;
    row.result().cached_tokens = planned.cached_tokens;
    // Room for an answer of the usual length, so that its tokens allocate nothing; a longer one doubles it.
    const auto room = size_t(std::min(row.request().stop.max_tokens, usual_answer));
    row.result().token_ids.reserve(room);
    if (row.request().sampling.logprobs) row.result().logprobs.reserve(room);
    stats_.cached_prompt_tokens += planned.cached_tokens;
  }
}

/// What is known without the row's text: an error, an end of turn.
bool Engine::State::ends(const Row& row, const engine::DrawnToken& drawn) const {
  return drawn.error || row.request().stop.max_tokens == 0 || row.stops_at(drawn.token_id, is_eos(drawn.token_id));
}

bool Engine::State::is_eos(int32_t token_id) const {
  const auto& eos = model.eos_token_ids();
  return std::find(eos.begin(), eos.end(), token_id) != eos.end();
}

void Engine::State::settle(const News& news, const std::function<void(const Event&)>& on_event) {
  if (rows[size_t(news.row)] == nullptr) return;  // cancelled since
  Row& row = *rows[size_t(news.row)];
  if (news.drawn.error) {
    row.finish(FinishReason::error, news.drawn.error);
  } else if (row.request().stop.max_tokens == 0) {
    row.finish(FinishReason::length);
  } else {
    const int32_t token_id = news.drawn.token_id;
    const Clock::time_point now = Clock::now();
    if (row.first_token == Clock::time_point()) row.first_token = now;
    else token_times_.add(seconds_between(row.last_token, now), 1);
    row.last_token = now;
    ++stats_.generation_tokens;
    const Row::Took took = row.take(token_id, news.drawn.logprob, is_eos(token_id), news.last);
    on_event(
        TokenEvent{.row = news.row, .token_id = token_id, .text = took.text, .reasoning = took.reasoning});
  }
  if (!row.finished()) return;
  scheduler.cancel(news.row);  // where its text ended it, the scheduler does not know
  end_row(news.row, on_event);
}

void Engine::State::end_row(int64_t number, const std::function<void(const Event&)>& on_event) {
  Row& row = *rows[size_t(number)];
  FinishedEvent event{.row = number, .result = row.release()};
  stats_.all_prompt_tokens += event.result.prompt_tokens;
  stats_.prompt_tokens += std::max<int64_t>(0, event.result.prompt_tokens - 1);
  stats_.generated_tokens += int64_t(event.result.token_ids.size());
  rows[size_t(number)].reset();
  ++rows_done;
  on_event(std::move(event));
}

// A mixed step is one pass; its time is split by tokens, since mlx-lm, which never mixes, counts the phases apart.
void Engine::State::count_step(const Plan& plan, double seconds) {
  const auto tokens = double(plan.token_ids.size());
  const double decode_share = double(plan.decode_rows) / tokens;
  stats_.prompt_time += seconds * (1 - decode_share);
  stats_.generation_time += seconds * decode_share;
  stats_.wall_time += seconds;
  prefilled_tokens_ += int64_t(plan.token_ids.size()) - plan.decode_rows;
  ++stats_.steps;
}

BatchStats Engine::State::current_stats() const {
  BatchStats s = stats_;
  s.prompt_tps = s.prompt_time > 0 ? double(s.prompt_tokens) / s.prompt_time : 0;
  s.generation_tps = s.generation_time > 0 ? double(s.generation_tokens) / s.generation_time : 0;
  s.peak_memory = double(peak_resident_memory()) / 1e9;
  s.token_time_p50 = token_times_.percentile(0.5);
  s.token_time_p99 = token_times_.percentile(0.99);
  s.preemptions = scheduler.counts().preemptions;
  return s;
}

Engine::Engine(const Model& model, const Tokenizer& tokenizer, const EngineOptions& options)
    : state_(std::make_unique<State>(model, &tokenizer, options)) {}
Engine::Engine(const Model& model, const EngineOptions& options)
    : state_(std::make_unique<State>(model, nullptr, options)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;

int64_t Engine::add(Request request) { return state_->add(std::move(request)); }
void Engine::check(const Request& request) const { state_->check_request(request); }

void Engine::cancel(int64_t row) {
  const std::lock_guard lock(state_->cancel_mutex);
  state_->to_cancel.push_back(row);
}

bool Engine::step(const std::function<void(const Event&)>& on_event) { return state_->step(on_event); }

BatchStats Engine::stats() const {
  const std::lock_guard lock(state_->mutex);
  return state_->current_stats();
}

int64_t Engine::context() const { return state_->scheduler.max_positions(); }
uint64_t Engine::kv_bytes() const { return state_->kv.bytes; }

}  // namespace chorus
