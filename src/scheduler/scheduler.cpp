#include "scheduler/scheduler.h"

#include <algorithm>
#include <limits>

#include "chorus/error.h"

namespace chorus::scheduler {
namespace {

constexpr int64_t most = std::numeric_limits<int32_t>::max();  // what a plan's integers hold

Error bad_limits(const char* what, int64_t actual) {
  return Error(Fault::usage, "the limits of the scheduler allow no step").with(what, actual);
}

Limits checked(Limits limits) {
  if (limits.block_tokens < 1) throw bad_limits("block_tokens", limits.block_tokens);
  if (limits.max_rows < 1) throw bad_limits("max_rows", limits.max_rows);
  if (limits.max_step_tokens < limits.max_rows || limits.max_step_tokens > most)
    throw bad_limits("max_step_tokens", limits.max_step_tokens).with("max_rows", limits.max_rows);
  if (limits.context < 1 || limits.context >= most) throw bad_limits("context", limits.context);
  if (limits.pools.empty()) throw bad_limits("pools", 0);
  int64_t blocks = 0;
  for (const PoolSpec& pool : limits.pools) {
    if (pool.window < 0) throw bad_limits("window", pool.window);
    if (pool.blocks < 1) throw bad_limits("blocks", pool.blocks);
    blocks += pool.blocks;
    if (blocks > most / limits.block_tokens - 1) throw bad_limits("blocks", blocks);
  }
  return limits;
}

// Blocks of a window pool that one query can see, wherever in a block it stands.
int64_t window_blocks(int64_t window, int64_t block_tokens) {
  return (window - 1 + block_tokens - 1) / block_tokens + 1;
}

// Positions that one row can have when the pool is its own.
int64_t capacity(const PoolSpec& pool, int64_t block_tokens) {
  if (pool.window > 0 && pool.blocks >= window_blocks(pool.window, block_tokens)) return most;
  return pool.blocks * block_tokens;
}

int64_t positions_of_one_row(const Limits& limits) {
  int64_t positions = limits.context;
  for (const PoolSpec& pool : limits.pools) positions = std::min(positions, capacity(pool, limits.block_tokens));
  return positions;
}

}  // namespace

Scheduler::Scheduler(Limits limits)
    : limits_(checked(std::move(limits))),
      max_positions_(positions_of_one_row(limits_)),
      cache_(limits_.pools, limits_.block_tokens),
      spare_(limits_.pools.size()),
      no_spare_(limits_.pools.size()),
      filled_(limits_.pools.size()) {
  const auto rows = size_t(limits_.max_rows), tokens = size_t(limits_.max_step_tokens);
  const int64_t longest = blocks_for(max_positions_);
  const auto table = [&](size_t p) {
    return size_t(std::min(longest, steady_blocks(p, max_positions_) + blocks_for(limits_.max_step_tokens)));
  };
  for (size_t i = 0; i < rows; ++i) {
    Seat& seat = *seats_.emplace_back(std::make_unique<Seat>());
    seat.tokens.reserve(size_t(max_positions_) + 1);  // pages that are not touched cost nothing
    seat.blocks.resize(limits_.pools.size());
    for (size_t p = 0; p < seat.blocks.size(); ++p) seat.blocks[p].ids.reserve(table(p));
    free_seats_.push_back(&seat);
  }
  for (auto* list : {&running_, &preempted_, &step_rows_}) list->reserve(rows);
  matched_.reserve(size_t(longest));

  for (auto* list :
       {&plan_.token_ids, &plan_.positions, &plan_.row_of_token, &plan_.logit_tokens, &plan_.logit_rows})
    list->reserve(tokens);
  plan_.query_begin.reserve(rows + 1);
  plan_.context_lengths.reserve(rows);
  plan_.rows.reserve(rows);
  plan_.samples.reserve(rows);
  plan_.pools.resize(limits_.pools.size());
  for (size_t p = 0; p < plan_.pools.size(); ++p) {
    plan_.pools[p].slots.reserve(tokens);
    plan_.pools[p].first_block.reserve(rows);
    plan_.pools[p].block_tables.reserve(rows * table(p));
  }
}

// Blocks that a row of so many positions holds between steps, at most.
int64_t Scheduler::steady_blocks(size_t p, int64_t positions) const {
  const int64_t window = limits_.pools[p].window, blocks = blocks_for(positions);
  return window == 0 ? blocks : std::min(blocks, window_blocks(window, limits_.block_tokens));
}

// 1 if the row may still need a block more than it holds.
int64_t Scheduler::growth(const Seat& row, size_t p) const {
  const int64_t positions = std::max(row.prompt_tokens, row.limit - 1);  // the last token is never computed
  return int64_t(row.blocks[p].ids.size()) < steady_blocks(p, positions);
}

// Tokens with which the row ends.
int64_t Scheduler::limit_of(const RowSpec& spec) const {
  const int64_t room = max_positions_ + 1 - int64_t(spec.prompt.size());
  return int64_t(spec.prompt.size()) + std::min(spec.max_new_tokens, room);
}

void Scheduler::check(int64_t tokens, int64_t max_new_tokens) const {
  if (tokens == 0) throw Error(Fault::input, "the prompt is empty");
  if (max_new_tokens < 0) throw Error(Fault::usage, "max_tokens is negative").with("actual", max_new_tokens);
  if (tokens > limits_.context)
    throw Error(Fault::input, "the prompt is longer than the context")
        .with("expected at most", limits_.context)
        .with("actual", tokens);
  if (tokens > max_positions_)
    throw Error(Fault::memory, "the prompt does not fit the memory for keys and values, even alone")
        .with("expected at most", max_positions_)
        .with("actual", tokens);
}

RowId Scheduler::add(RowSpec spec) {
  check(int64_t(spec.prompt.size()), spec.max_new_tokens);
  const Key row{.rank = -int64_t(spec.priority), .id = next_id_++};
  waiting_.emplace(row, Waiting{std::move(spec)});
  return row.id;
}

void Scheduler::cancel(RowId id) {
  for (Seat* row : running_)
    if (row->id == id) {
      if (row->scheduled > 0)
        row->cancelled = true;
      else
        end(*row);
      return;
    }
  for (Seat* row : preempted_)
    if (row->id == id) return end(*row);
  for (auto rank = waiting_.begin(); rank != waiting_.end();
       rank = waiting_.lower_bound({rank->first.rank + 1, 0}))
    if (const auto row = waiting_.find({rank->first.rank, id}); row != waiting_.end()) {
      waiting_.erase(row);
      return;
    }
}

Counts Scheduler::counts() const {
  return {.waiting = int64_t(waiting_.size() + preempted_.size()),
          .running = int64_t(running_.size()),
          .preemptions = preemptions_};
}

const Plan& Scheduler::next() {
  if (in_step_) throw Error(Fault::internal, "the scheduler was asked for a step before the last was committed");
  int64_t budget = limits_.max_step_tokens;
  schedule_decode(budget);
  schedule_prefill(budget);
  for (Seat* row : running_) publish(*row);
  admit(budget);
  write_plan();
  in_step_ = !plan_.empty();
  if (!in_step_ && (!running_.empty() || !preempted_.empty() || !waiting_.empty()))
    throw Error(Fault::internal, "the scheduler found no row to run");
  return plan_;
}

void Scheduler::schedule_decode(int64_t& budget) {
  for (size_t i = 0; i < running_.size(); ++i)
    if (Seat& row = *running_[i]; row.remaining() == 1 && make_room(row, budget)) schedule(row, 1, budget);
}

// A chunk of a row with windows takes more blocks than the row keeps: it leaves one to each prefill row after it.
void Scheduler::schedule_prefill(int64_t& budget) {
  int64_t rows = std::ranges::count_if(running_, [](const Seat* row) { return row->remaining() > 1; });
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Seat& row = *running_[i];
    if (row.remaining() <= 1) continue;
    std::ranges::fill(spare_, --rows);
    if (!make_room(row, budget)) continue;
    const int64_t tokens = tokens_that_fit(row, std::min(budget, row.remaining()), spare_);
    schedule(row, std::max<int64_t>(1, tokens), budget);
  }
}

// Of `wanted` tokens, how many find their blocks when so many per pool are left alone.
int64_t Scheduler::tokens_that_fit(const Seat& row, int64_t wanted, std::span<const int64_t> spare) const {
  int64_t tokens = wanted;
  for (size_t p = 0; p < cache_.pools(); ++p) {
    const int64_t blocks = row.blocks[p].end() + std::max<int64_t>(0, cache_.pool(p).free() - spare[p]);
    tokens = std::min(tokens, blocks * limits_.block_tokens - row.computed);
  }
  return tokens;
}

// Preempts rows from the end until the row's next token finds its blocks. False if that took the row itself.
bool Scheduler::make_room(const Seat& row, int64_t& budget) {
  while (tokens_that_fit(row, 1, no_spare_) < 1) {
    const bool itself = running_.back() == &row;
    preempt_last(budget);
    if (itself) return false;
  }
  return true;
}

void Scheduler::schedule(Seat& row, int64_t tokens, int64_t& budget) {
  row.scheduled = tokens;
  budget -= tokens;
  for (size_t p = 0; p < cache_.pools(); ++p) take_blocks(row, p, row.computed + tokens);
}

void Scheduler::take_blocks(Seat& row, size_t p, int64_t positions) {
  RowBlocks& blocks = row.blocks[p];
  while (blocks.end() < blocks_for(positions)) blocks.ids.push_back(cache_.take(p));
}

// Tells the cache of the blocks that this step fills.
void Scheduler::publish(Seat& row) {
  if (!limits_.share_prefixes) return;
  const int64_t block_tokens = limits_.block_tokens;
  for (int64_t& i = row.published; (i + 1) * block_tokens <= row.computed + row.scheduled; ++i) {
    for (size_t p = 0; p < cache_.pools(); ++p) filled_[p] = row.blocks[p].ids[size_t(i - row.blocks[p].first)];
    row.prefix = cache_.publish(
        row.prefix, std::span<const int32_t>(row.tokens).subspan(size_t(i * block_tokens), size_t(block_tokens)),
        filled_);
  }
}

void Scheduler::preempt_last(int64_t& budget) {
  Seat& row = *running_.back();
  running_.pop_back();
  budget += row.scheduled;
  row.scheduled = 0;
  release_blocks(row);
  row.computed = row.published = 0;
  row.prefix = PrefixIndex::root;
  const auto later = [&](const Seat* other) { return key(row) < key(*other); };
  preempted_.insert(std::ranges::find_if(preempted_, later), &row);
  ++preemptions_;
}

// Last blocks first: of a prefix, the end is taken for something else before the beginning.
void Scheduler::release_blocks(Seat& row) {
  for (size_t p = 0; p < cache_.pools(); ++p) {
    RowBlocks& blocks = row.blocks[p];
    for (; !blocks.ids.empty(); blocks.ids.pop_back()) cache_.release(p, blocks.ids.back(), /*keep=*/true);
    blocks.first = 0;
  }
}

// What another row can share is, nearly always, prompt: the rest is not kept, or it would push out the prompts.
void Scheduler::release_behind_window(Seat& row) {
  for (size_t p = 0; p < cache_.pools(); ++p) {
    RowBlocks& blocks = row.blocks[p];
    const int64_t visible = first_visible_block(limits_.pools[p].window, row.computed, limits_.block_tokens);
    const int64_t hidden = std::min(visible - blocks.first, int64_t(blocks.ids.size()));
    if (hidden <= 0) continue;
    for (int64_t i = 0; i < hidden; ++i)
      cache_.release(p, blocks.ids[size_t(i)],
                     /*keep=*/(blocks.first + i + 1) * limits_.block_tokens <= row.prompt_tokens);
    blocks.ids.erase(blocks.ids.begin(), blocks.ids.begin() + hidden);
    blocks.first += hidden;
  }
}

void Scheduler::end(Seat& row) {
  release_blocks(row);
  std::erase(running_, &row);
  std::erase(preempted_, &row);
  row.id = -1;
  free_seats_.push_back(&row);
}

void Scheduler::commit(std::span<const Outcome> outcomes) {
  if (!in_step_ || outcomes.size() != plan_.samples.size())
    throw Error(Fault::internal, "the outcomes do not belong to the scheduler's step")
        .with("expected", in_step_ ? plan_.samples.size() : 0)
        .with("actual", outcomes.size());
  in_step_ = false;
  cache_.settle();
  for (Seat* row : step_rows_) {
    row->computed += row->scheduled;
    row->scheduled = 0;
    row->logits_given = std::max(row->logits_given, row->computed);
    if (!row->cancelled) release_behind_window(*row);
  }
  for (size_t s = 0; s < outcomes.size(); ++s) {
    const Sample& sample = plan_.samples[s];
    Seat& row = *step_rows_[size_t(sample.row)];
    if (outcomes[s].finished || sample.last)
      row.cancelled = true;
    else
      row.tokens.push_back(outcomes[s].token_id);
  }
  for (Seat* row : step_rows_)
    if (row->cancelled) end(*row);
}

}  // namespace chorus::scheduler
