#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "scheduler/block_cache.h"
#include "scheduler/plan.h"
#include "scheduler/row.h"

namespace chorus::scheduler {

struct Limits {
  int block_tokens = 16;
  int64_t max_rows = 0;         ///< rows of a step
  int64_t max_step_tokens = 0;  ///< tokens of a step, at least max_rows
  int64_t context = 0;          ///< positions of a row
  std::vector<PoolSpec> pools;  ///< one per layer kind
  bool share_prefixes = true;
};

struct RowSpec {
  std::vector<int32_t> prompt;
  int64_t max_new_tokens = 0;  ///< 0: the prompt is computed, and the token sampled after it is dropped
  int priority = 0;            ///< higher first; equals in the order of add()
  bool all_logits = false;     ///< logits of every position; the row then reads no shared prefix
};

/// What became of a Sample.
struct Outcome {
  int32_t token_id;
  bool finished;  ///< the row ends, with or without this token
};

struct Counts {
  int64_t waiting = 0;  ///< preempted rows included
  int64_t running = 0;
  int64_t preemptions = 0;  ///< so far
};

/// Turns waiting rows into steps.
///
/// Rows are served in order of priority, then arrival. Every running row that decodes has a token in every step;
/// what is left of the step goes to prefill chunks, in order, then to rows not yet running. A row is admitted when
/// the blocks of all its known tokens are free (of a windowed pool, those that one query sees) with one more for
/// each running row that can still grow; what it may generate later is not counted. When blocks run out, the last
/// running row in order gives up its blocks and waits; later it is computed again, and nothing of it is sampled
/// twice. So the first row in order always advances, and a pool that holds the longest row alone finishes
/// everything.
///
/// Rows that begin with the same full blocks share them. A row whose next block is computed in the step under way
/// by another row waits for the next step.
///
/// next() and commit() allocate nothing: all memory is taken by the constructor and by add().
class Scheduler {
 public:
  /// Throws Fault::usage for limits that allow no step.
  explicit Scheduler(Limits limits);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Ids count up from 0. Throws Fault::input for an empty prompt and one longer than the context, Fault::memory
  /// for one that does not fit the pools alone.
  RowId add(RowSpec spec);
  /// Throws what add() would throw, for a row of so many tokens.
  void check(int64_t prompt_tokens, int64_t max_new_tokens) const;
  /// The row ends now, or with the step under way, whose sample of it is then ignored. Unknown and ended rows:
  /// nothing.
  void cancel(RowId id);

  /// The next step; empty when there is no row. Valid until commit(), which must follow unless it is empty.
  const Plan& next();
  /// One outcome per sample of the plan, in its order.
  void commit(std::span<const Outcome> outcomes);

  Counts counts() const;
  /// Positions that one row can have at most, by the context and by the pools.
  int64_t max_positions() const { return max_positions_; }
  const Limits& limits() const { return limits_; }
  /// For statistics and tests.
  const BlockCache& cache() const { return cache_; }
  std::span<Seat* const> running() const { return running_; }

 private:
  struct Key {
    int64_t rank;
    RowId id;
    auto operator<=>(const Key&) const = default;
  };
  struct Waiting {  // a row that was never admitted
    RowSpec spec;
    int stood_back = 0;
  };
  struct Candidate {  // the first row of a queue
    Key key;
    Seat* seat;  // of a preempted row
    std::span<const int32_t> tokens;
    int64_t limit;
    int64_t may_match;  // tokens that a shared prefix may cover
  };
  enum class Admission { done, stands_back, no_room };

  static Key key(const Seat& row) { return {row.rank, row.id}; }
  int64_t blocks_for(int64_t positions) const {
    return (positions + limits_.block_tokens - 1) / limits_.block_tokens;
  }
  int64_t steady_blocks(size_t p, int64_t positions) const;
  int64_t growth(const Seat& row, size_t p) const;
  int64_t limit_of(const RowSpec& spec) const;

  void schedule_decode(int64_t& budget);
  void schedule_prefill(int64_t& budget);
  void admit(int64_t budget);
  Admission try_admit(const Candidate& candidate, bool may_stand_back, int64_t& budget);
  bool fits(const Candidate& candidate, int64_t matched);
  bool found_no_room_before(const Candidate& candidate) const;
  Candidate candidate(Seat& row) const;
  Candidate candidate(const Key& key, const Waiting& waiting) const;
  Seat& sit_down(const Candidate& candidate);
  int64_t tokens_that_fit(const Seat& row, int64_t wanted, std::span<const int64_t> spare) const;
  bool make_room(const Seat& row, int64_t& budget);
  void schedule(Seat& row, int64_t tokens, int64_t& budget);
  void publish(Seat& row);
  void preempt_last(int64_t& budget);
  void take_blocks(Seat& row, size_t p, int64_t positions);
  void release_blocks(Seat& row);
  void release_behind_window(Seat& row);
  void end(Seat& row);
  void write_plan();
  void write_tokens(const Seat& row, int32_t r);
  void write_tables();

  Limits limits_;
  int64_t max_positions_;
  BlockCache cache_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<Seat*> free_seats_, running_, preempted_;  // the latter two in order
  std::map<Key, Waiting> waiting_;
  RowId next_id_ = 0;
  int64_t preemptions_ = 0;

  Plan plan_;
  bool in_step_ = false;
  std::vector<Seat*> step_rows_;  // [R] of plan_
  std::vector<int32_t> matched_;  // try_admit(): nodes of the shared prefix
  std::vector<int64_t> spare_;    // per pool: blocks left alone for the other rows that run
  const std::vector<int64_t> no_spare_;
  std::vector<int32_t> filled_;  // publish(): per pool, the block that is full
  struct {                       // the row that found no room, and the free blocks it found: no need to look again
    RowId row = -1;
    size_t pool = 0;
    int64_t free = 0;
  } no_room_;
};

}  // namespace chorus::scheduler
