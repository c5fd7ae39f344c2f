#include "chorus/replicas.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/thread_pool.h"
#include "engine/make_backend.h"

namespace chorus {
namespace {

/// An event that outlives its callback: the text of a token is kept beside it.
struct KeptEvent {
  Event event;
  std::string text = {};

  const Event& get() {
    if (auto* token = std::get_if<TokenEvent>(&event)) token->text = text;
    return event;
  }
};

/// Adds up what engines that work at the same time did.
BatchStats together(const std::vector<BatchStats>& all) {
  BatchStats sum;
  for (const BatchStats& s : all) {
    for (int64_t BatchStats::*count :
         {&BatchStats::prompt_tokens, &BatchStats::generation_tokens, &BatchStats::rows,
          &BatchStats::all_prompt_tokens, &BatchStats::cached_prompt_tokens, &BatchStats::generated_tokens,
          &BatchStats::steps, &BatchStats::preemptions})
      sum.*count += s.*count;
    for (double BatchStats::*rate : {&BatchStats::prompt_tps, &BatchStats::generation_tps}) sum.*rate += s.*rate;
    for (double BatchStats::*time :
         {&BatchStats::prompt_time, &BatchStats::generation_time, &BatchStats::wall_time, &BatchStats::peak_memory,
          &BatchStats::token_time_p50, &BatchStats::token_time_p99})
      sum.*time = std::max(sum.*time, s.*time);
  }
  return sum;
}

}  // namespace

struct Replicas::State {
  /// An engine, and the rows that it has: by its numbers, ours.
  struct Replica {
    explicit Replica(Engine e) : engine(std::move(e)) {}
    Engine engine;
    std::vector<int64_t> numbers = {};
    int64_t rows = 0;  ///< not ended
    ProgressEvent progress{};
  };
  struct Waiting {
    int64_t number;
    Request request;
  };

  void run(Replica& replica);
  std::vector<Waiting> take_rows(Replica& replica);
  void keep(Replica& replica, const Event& event);
  ProgressEvent progress() const;

  std::vector<std::unique_ptr<Replica>> replicas;
  int64_t max_rows = 0;

  std::mutex mutex;  // all that follows
  std::condition_variable work, news;
  std::map<int, std::deque<Waiting>, std::greater<>> queue;  // by priority
  int64_t next_number = 0, left = 0;                         // rows that have not ended
  std::deque<KeptEvent> events;
  std::exception_ptr failure;
  bool stopping = false;

  std::vector<std::thread> threads;
};

/// As many rows as the engine can use soon: a few more than it computes side by side. Waits for one if it has
/// none.
std::vector<Replicas::State::Waiting> Replicas::State::take_rows(Replica& replica) {
  std::unique_lock lock(mutex);
  work.wait(lock, [&] { return stopping || replica.rows > 0 || !queue.empty(); });
  std::vector<Waiting> taken;
  while (!stopping && !queue.empty() && replica.rows < max_rows + max_rows / 8 + 1) {
    auto& [priority, first] = *queue.begin();
    taken.push_back(std::move(first.front()));
    first.pop_front();
    if (first.empty()) queue.erase(queue.begin());
    ++replica.rows;
  }
  return taken;
}

void Replicas::State::run(Replica& replica) {
  try {
    for (;;) {
      for (Waiting& row : take_rows(replica)) {
        const auto number = size_t(replica.engine.add(std::move(row.request)));
        replica.numbers.resize(number + 1);
        replica.numbers[number] = row.number;
      }
      {
        const std::lock_guard lock(mutex);
        if (stopping) return;
      }
      replica.engine.step([&](const Event& event) { keep(replica, event); });
      news.notify_one();
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    failure = std::current_exception();
    news.notify_one();
  }
}

void Replicas::State::keep(Replica& replica, const Event& event) {
  KeptEvent kept{event};
  const auto ours = [&](int64_t number) { return replica.numbers[size_t(number)]; };
  const std::lock_guard lock(mutex);
  if (auto* token = std::get_if<TokenEvent>(&kept.event)) {
    token->row = ours(token->row);
    kept.text = token->text;
  } else if (auto* finished = std::get_if<FinishedEvent>(&kept.event)) {
    finished->row = ours(finished->row);
    --replica.rows;
    --left;
  } else {
    replica.progress = std::get<ProgressEvent>(kept.event);
    return;
  }
  events.push_back(std::move(kept));
}

ProgressEvent Replicas::State::progress() const {
  ProgressEvent sum{};
  for (const auto& replica : replicas) {
    const ProgressEvent& p = replica->progress;
    sum.rows_done += p.rows_done;
    sum.rows_running += p.rows_running;
    sum.rows_waiting += p.rows_waiting;
    sum.prompt_tokens += p.prompt_tokens;
    sum.generated_tokens += p.generated_tokens;
    sum.kv_bytes += p.kv_bytes;
  }
  for (const auto& [priority, rows] : queue) sum.rows_waiting += int64_t(rows.size());
  return sum;
}

Replicas::Replicas(const std::vector<Model>& models, const Tokenizer* tokenizer, const EngineOptions& options)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.max_rows = options.max_rows;
  for (const Model& model : models)
    s.replicas.push_back(std::make_unique<State::Replica>(tokenizer != nullptr ? Engine(model, *tokenizer, options)
                                                                               : Engine(model, options)));
  if (s.replicas.size() == 1) return;  // steps on the caller's thread
  for (const auto& replica : s.replicas) s.threads.emplace_back([&s, r = replica.get()] { s.run(*r); });
}

Replicas::~Replicas() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->work.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

int64_t Replicas::add(Request request) {
  State& s = *state_;
  if (s.threads.empty()) return s.replicas[0]->engine.add(std::move(request));
  s.replicas[0]->engine.check(request);
  const std::lock_guard lock(s.mutex);
  const int64_t number = s.next_number++;
  ++s.left;
  s.queue[request.priority].push_back({number, std::move(request)});
  s.work.notify_one();
  return number;
}

bool Replicas::step(const std::function<void(const Event&)>& on_event) {
  State& s = *state_;
  if (s.threads.empty()) return s.replicas[0]->engine.step(on_event);
  std::deque<KeptEvent> events;
  ProgressEvent progress{};
  {
    std::unique_lock lock(s.mutex);
    s.news.wait(lock, [&] { return s.failure || !s.events.empty() || s.left == 0; });
    events.swap(s.events);
    if (events.empty() && s.failure) std::rethrow_exception(s.failure);
    if (events.empty()) return false;
    progress = s.progress();
  }
  for (KeptEvent& event : events) on_event(event.get());
  on_event(progress);
  return true;
}

BatchStats Replicas::stats() const {
  std::vector<BatchStats> all;
  for (const auto& replica : state_->replicas) all.push_back(replica->engine.stats());
  return all.size() == 1 ? all[0] : together(all);
}

std::vector<Model> load_replicas(std::string_view name, const LoadOptions& options) {
  const std::vector<std::string> devices = engine::devices_of(options);
  std::vector<Model> models;
  for (const std::string& device : devices) {
    LoadOptions one = options;
    one.device = device;
    if (devices.size() > 1)
      one.threads = std::max(1, (one.threads > 0 ? one.threads : usable_threads()) / int(devices.size()));
    models.push_back(load_model(name, one));
  }
  return models;
}

}  // namespace chorus
