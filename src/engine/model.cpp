#include "chorus/model.h"

#include <algorithm>

#include "chorus/error.h"
#include "engine/make_backend.h"
#include "engine/model_state.h"
#include "model/config.h"
#include "weights/find_model.h"

namespace chorus {
namespace {

/// Left to the rest of the machine when the budget is not given.
constexpr uint64_t memory_margin = 512 << 20;

void add_ids(const Json* ids, std::vector<int32_t>& out) {
  if (ids == nullptr) return;
  const auto add = [&](const Json& id) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
      throw Error(Fault::model, "eos_token_id is not a token id").with("actual", id.dump());
    out.push_back(id.get<int32_t>());
  };
  if (ids->is_array()) std::for_each(ids->begin(), ids->end(), add);
  else add(*ids);
}

/// generation_config.json's eos wins over config.json's.
std::vector<int32_t> eos_ids(const Weights& weights) {
  std::vector<int32_t> ids;
  const Json* generation = Config(weights.generation_config()).find("eos_token_id");
  add_ids(generation != nullptr ? generation : Config(weights.config()).find("eos_token_id"), ids);
  return ids;
}

void check_ids(std::span<const int32_t> ids, int64_t vocabulary) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= vocabulary)
      throw Error(Fault::input, "token id is not in the vocabulary")
          .with("position", i).with("token id", ids[i]).with("vocabulary", vocabulary);
}

int64_t blocks_for(int64_t tokens) {
  return (tokens + PromptCache::State::block_tokens - 1) / PromptCache::State::block_tokens;
}

}  // namespace

// --- cache ---------------------------------------------------------------------------------------------------------

PromptCache::State::State(Model::State& m, int64_t tokens)
    : model(m),
      blocks(m.network->kv_shape().pools.size(), blocks_for(tokens)),
      kv(*m.backend, m.network->kv_shape(), blocks, block_tokens),
      runner(*m.backend, *m.network,
             {.tokens = std::min(tokens, max_chunk), .rows = 1, .logits = std::min(tokens, max_chunk),
              .table_blocks = blocks_for(tokens)}),
      capacity(tokens) {
  plan.query_begin = {0, 0};
  plan.pools.resize(blocks.size());
  for (scheduler::PoolPlan& pool : plan.pools) {
    pool.stride = blocks_for(tokens);
    pool.first_block = {0};
    for (int64_t b = 0; b < pool.stride; ++b) pool.block_tables.push_back(int32_t(b));
  }
}

Tensor PromptCache::State::feed(std::span<const int32_t> ids) {
  const auto n = int32_t(ids.size());
  plan.token_ids.assign(ids.begin(), ids.end());
  plan.positions.clear();
  plan.logit_tokens.clear();
  for (int32_t i = 0; i < n; ++i) {
    plan.positions.push_back(int32_t(positions) + i);
    plan.logit_tokens.push_back(i);
  }
  plan.row_of_token.assign(ids.size(), 0);
  plan.query_begin[1] = n;
  for (scheduler::PoolPlan& pool : plan.pools) pool.slots = plan.positions;
  const Tensor logits = runner.logits(plan, kv.get());
  positions += n;
  return logits;
}

PromptCache::PromptCache(std::unique_ptr<State> state) : state_(std::move(state)) {}
PromptCache::~PromptCache() = default;
PromptCache::PromptCache(PromptCache&&) noexcept = default;
PromptCache& PromptCache::operator=(PromptCache&&) noexcept = default;
int64_t PromptCache::positions() const { return state_->positions; }
int64_t PromptCache::capacity() const { return state_->capacity; }

PromptCache make_prompt_cache(const Model& model, int64_t capacity) {
  const int64_t context = model.context();
  if (capacity < 0 || capacity > context)
    throw Error(Fault::usage, "bad capacity of a prompt cache").with("capacity", capacity).with("context", context);
  if (capacity == 0) capacity = std::min<int64_t>(context, 4096);
  const std::lock_guard turn(model.state().turn);
  return PromptCache(std::make_unique<PromptCache::State>(model.state(), capacity));
}

// --- model ---------------------------------------------------------------------------------------------------------

Logits Model::operator()(std::span<const int32_t> ids, PromptCache& cache) const {
  PromptCache::State& c = cache.state();
  if (&c.model != state_.get()) throw Error(Fault::usage, "the prompt cache belongs to another model");
  check_ids(ids, vocabulary());
  if (c.positions + int64_t(ids.size()) > c.capacity)
    throw Error(Fault::input, "more tokens than the prompt cache holds")
        .with("capacity", c.capacity).with("in the cache", c.positions).with("new tokens", ids.size());
  const std::lock_guard turn(state_->turn);
  Logits out{.tokens = int64_t(ids.size()), .vocabulary = vocabulary(), .values = {}};
  out.values.resize(size_t(out.tokens * out.vocabulary));
  for (size_t i = 0; i < ids.size();) {
    const size_t n = std::min(ids.size() - i, size_t(PromptCache::State::max_chunk));
    const Tensor logits = c.feed(ids.subspan(i, n));
    state_->backend->download(out.values.data() + int64_t(i) * out.vocabulary, logits, logits.bytes());
    i += n;
  }
  return out;
}

Logits Model::operator()(std::span<const int32_t> ids) const {
  if (ids.empty()) return {.tokens = 0, .vocabulary = vocabulary(), .values = {}};
  if (int64_t(ids.size()) > context())
    throw Error(Fault::input, "more tokens than the model's context")
        .with("tokens", ids.size()).with("context", context());
  PromptCache cache = make_prompt_cache(*this, int64_t(ids.size()));
  return (*this)(ids, cache);
}

int64_t Model::vocabulary() const { return state_->network->vocabulary(); }
int64_t Model::context() const { return state_->network->context(); }
std::string Model::device() const { return std::string(state_->backend->name()); }
uint64_t Model::weight_bytes() const { return state_->backend->placed_bytes(); }
const std::vector<int32_t>& Model::eos_token_ids() const { return state_->eos_token_ids; }

StepCost step_cost(const Model& model, int64_t rows, int64_t context) {
  const Model::State& state = model.state();
  const KvShape& kv = state.network->kv_shape();
  double kv_bytes = 0, attention_macs = 0;
  for (size_t p = 0; p < kv.pools.size(); ++p) {
    const int64_t seen = kv.pools[p].window > 0 ? std::min(context, kv.pools[p].window) : context;
    kv_bytes += double(rows) * double(kv.block_bytes(p, seen, state.backend->kv_element_bytes()));
    attention_macs += double(kv.block_bytes(p, seen, 1)) * double(state.network->query_heads_per_kv_head());
  }
  return {.bytes = state.network->step_weight_bytes(rows) + kv_bytes,
          .macs = double(rows) * (state.network->token_macs(true) + attention_macs)};
}

void start_profile(const Model& model) {
  Model::State& state = model.state();
  const std::lock_guard turn(state.turn);
  state.timer = std::make_unique<OpTimer>();
  state.backend->use_timer(state.timer.get());
}

std::vector<OpCost> end_profile(const Model& model) {
  Model::State& state = model.state();
  const std::lock_guard turn(state.turn);
  state.backend->use_timer(nullptr);
  std::vector<OpCost> costs;
  if (state.timer == nullptr) return costs;
  for (const OpGroup& g : state.timer->groups())
    costs.push_back({.name = g.name, .calls = g.calls, .seconds = g.seconds, .bytes = g.bytes, .macs = g.macs});
  state.timer.reset();
  return costs;
}

double measure_mac_rate(const Model& model) {
  const std::lock_guard turn(model.state().turn);
  return model.state().backend->measure_mac_rate();
}

DeviceBandwidth measure_bandwidth(const Model& model) {
  const std::lock_guard turn(model.state().turn);
  const Backend::Bandwidth measured = model.state().backend->measure_bandwidth();
  return {.read = measured.read, .copy = measured.copy};
}

uint64_t used_device_bytes(const Model& model) { return model.state().backend->used_bytes(); }

Model load_model(std::string_view name, const LoadOptions& options) {
  const std::filesystem::path folder = find_model(name);
  const uint64_t budget = options.memory_bytes > 0
                              ? options.memory_bytes
                              : std::max(engine::free_memory(options), 2 * memory_margin) - memory_margin;
  auto state = std::make_shared<Model::State>(Weights::open(folder));
  state->memory_bytes = budget;
  if (state->weights.total_bytes() > budget)
    throw Error(Fault::memory, "the weights do not fit the memory budget")
        .with("model folder", folder.string())
        .with("weight bytes", state->weights.total_bytes())
        .with(options.memory_bytes > 0 ? "budget bytes (--memory)" : "free bytes, less a margin", budget);
  state->eos_token_ids = eos_ids(state->weights);
  state->backend = engine::make_backend(options);
  state->network = load_model(state->weights, *state->backend);
  return Model(std::move(state));
}

}  // namespace chorus
