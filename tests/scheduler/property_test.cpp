#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "chorus/error.h"
#include "scheduler/fake_model.h"
#include "scheduler/invariants.h"

namespace chorus::scheduler {
namespace {

struct Job {
  RowSpec spec;
  int64_t arrives = 0;     // step
  int64_t cancelled = -1;  // step; -1: never
  bool in_flight = false;  // cancelled between next() and commit()
};

struct Schedule {
  Limits limits;
  std::vector<Job> jobs;
};

std::ostream& operator<<(std::ostream& out, const Schedule& s) {
  out << "block_tokens " << s.limits.block_tokens << " max_rows " << s.limits.max_rows << " max_step_tokens "
      << s.limits.max_step_tokens << " context " << s.limits.context << " share " << s.limits.share_prefixes;
  for (const PoolSpec& pool : s.limits.pools)
    out << " [window " << pool.window << " blocks " << pool.blocks << "]";
  for (const Job& job : s.jobs) {
    out << "\n  arrives " << job.arrives << " cancelled " << job.cancelled << (job.in_flight ? " in flight" : "")
        << " new " << job.spec.max_new_tokens << " priority " << job.spec.priority << " prompt";
    for (const int32_t token : job.spec.prompt) out << ' ' << token;
  }
  return out;
}

constexpr int32_t vocabulary = 3;  // few, so that prompts and answers meet by chance
constexpr int32_t eos = 0;

// Of full range from the first case on.
int64_t up_to(int64_t most) {
  return *rc::gen::resize(100, rc::gen::inRange<int64_t>(0, most + 1));
}

// Pools from too small for most rows to large enough for all.
Schedule any_schedule() {
  Schedule s;
  s.limits.block_tokens = int(1 + up_to(4));
  s.limits.max_rows = 1 + up_to(5);
  s.limits.max_step_tokens = s.limits.max_rows + up_to(20);
  s.limits.context = 10 + up_to(50);
  s.limits.share_prefixes = up_to(4) > 0;
  for (int64_t pools = 1 + up_to(2); pools > 0; --pools)
    s.limits.pools.push_back({.window = std::max<int64_t>(0, up_to(16) - 4), .blocks = 3 + up_to(40)});
  std::vector<std::vector<int32_t>> stems(2);
  for (auto& stem : stems)
    for (int64_t n = up_to(30); n > 0; --n) stem.push_back(int32_t(up_to(vocabulary - 1)));
  for (int64_t n = 1 + up_to(14); n > 0; --n) {
    Job job;
    const auto& stem = stems[size_t(up_to(1))];
    job.spec.prompt.assign(stem.begin(), stem.begin() + up_to(int64_t(stem.size())));
    for (int64_t i = up_to(8); i > 0; --i) job.spec.prompt.push_back(int32_t(up_to(vocabulary - 1)));
    job.spec.max_new_tokens = up_to(40);
    job.spec.priority = int(std::max<int64_t>(0, up_to(4) - 3));
    job.spec.all_logits = up_to(9) == 9;
    job.arrives = up_to(20);
    if (up_to(5) == 5) job.cancelled = job.arrives + up_to(15);
    job.in_flight = up_to(1) == 1;
    s.jobs.push_back(std::move(job));
  }
  return s;
}

// Runs a schedule to its end, checking everything that must hold on the way.
class Simulation {
 public:
  explicit Simulation(Schedule schedule)
      : schedule_(std::move(schedule)), scheduler_(schedule_.limits), model_(schedule_.limits, vocabulary) {}

  void to_the_end() {
    for (step_ = 0;; ++step_) {
      RC_ASSERT(step_ < 20000);
      arrive();
      cancel(/*in_flight=*/false);
      const Plan& plan = scheduler_.next();
      RC_ASSERT(broken_blocks(scheduler_) == "");
      if (plan.empty()) {
        if (step_ > 40) break;  // nobody arrives any more
        continue;
      }
      RC_ASSERT(broken_plan(scheduler_, plan) == "");
      check_positions(plan);
      const std::vector<int32_t> tokens = model_.run(plan);
      outcomes_.clear();
      for (size_t s = 0; s < tokens.size(); ++s) sampled(plan.samples[s], tokens[s]);
      cancel(/*in_flight=*/true);
      scheduler_.commit(outcomes_);
      RC_ASSERT(broken_blocks(scheduler_) == "");
    }
    RC_ASSERT(scheduler_.counts().running == 0 && scheduler_.counts().waiting == 0);
    for (size_t p = 0; p < scheduler_.cache().pools(); ++p)
      RC_ASSERT(scheduler_.cache().pool(p).free() == scheduler_.cache().pool(p).size());
    for (const auto& [id, row] : rows_) check_row(row);
  }

  int64_t preemptions() const { return scheduler_.counts().preemptions; }
  int64_t cached_tokens() const { return cached_tokens_; }
  int64_t refused() const { return refused_; }

 private:
  struct Row {
    const Job* job;
    std::vector<int32_t> generated;
    int64_t computed = 0, most_computed = 0;
    bool ended = false, cancelled = false;
    std::vector<int32_t> logits;  // per position, how often they were wanted
  };

  void arrive() {
    for (const Job& job : schedule_.jobs) {
      if (job.arrives != step_) continue;
      try {
        rows_[scheduler_.add(job.spec)] = {.job = &job, .generated = {}, .logits = {}};
      } catch (const Error& e) {
        const auto tokens = int64_t(job.spec.prompt.size());
        RC_ASSERT(e.fault() == (tokens == 0 || tokens > schedule_.limits.context ? Fault::input : Fault::memory));
        RC_ASSERT(tokens == 0 || tokens > scheduler_.max_positions());
        ++refused_;
      }
    }
  }

  void cancel(bool in_flight) {
    for (auto& [id, row] : rows_)
      if (row.job->cancelled >= 0 && row.job->cancelled <= step_ && row.job->in_flight == in_flight &&
          !row.cancelled) {
        scheduler_.cancel(id);  // also of rows that have ended: nothing happens
        row.cancelled = true;
      }
  }

  // Positions go up one by one; only a preempted row begins again.
  void check_positions(const Plan& plan) {
    for (size_t r = 0; r < plan.rows.size(); ++r) {
      Row& row = rows_.at(plan.rows[r].id);
      RC_ASSERT(!row.ended && !row.cancelled);
      if (row.computed == 0) {
        cached_tokens_ += plan.rows[r].cached_tokens;
        RC_ASSERT(plan.rows[r].computed == plan.rows[r].cached_tokens);
      } else if (plan.rows[r].computed != row.computed) {
        RC_ASSERT(preemptions() > 0);
      }
      row.computed = plan.context_lengths[r];
      row.logits.resize(size_t(std::max<int64_t>(int64_t(row.logits.size()), row.computed)));
    }
    for (size_t i = 0; i < plan.logit_tokens.size(); ++i) {
      const auto t = size_t(plan.logit_tokens[i]);
      RC_ASSERT(plan.logit_rows[i] == plan.row_of_token[t]);
      Row& row = rows_.at(plan.rows[size_t(plan.logit_rows[i])].id);
      ++row.logits[size_t(plan.positions[t])];
    }
  }

  void sampled(const Sample& sample, int32_t token) {
    Row& row = rows_.at(sample.id);
    RC_ASSERT(sample.prompt_tokens == int64_t(row.job->spec.prompt.size()));
    RC_ASSERT(sample.tokens.size() == row.job->spec.prompt.size() + row.generated.size());
    if (row.job->spec.max_new_tokens > 0) row.generated.push_back(token);
    const bool finished = token == eos;
    row.ended = finished || sample.last;
    outcomes_.push_back({.token_id = token, .finished = finished});
  }

  void check_row(const Row& row) const {
    const std::vector<int32_t> expected =
        model_.alone(row.job->spec.prompt, std::max<int64_t>(1, int64_t(row.generated.size())));
    RC_ASSERT(std::equal(row.generated.begin(), row.generated.end(), expected.begin()));
    if (row.cancelled) return;
    RC_ASSERT(row.ended);
    const auto prompt = int64_t(row.job->spec.prompt.size());
    const int64_t room = std::min(row.job->spec.max_new_tokens, scheduler_.max_positions() + 1 - prompt);
    if (row.generated.empty() || row.generated.back() != eos) {
      RC_ASSERT(int64_t(row.generated.size()) == room);
    }
    for (size_t i = 0; i < row.logits.size(); ++i) {  // of every position once, or of those that are sampled
      RC_ASSERT(row.logits[i] == (row.job->spec.all_logits || int64_t(i) + 1 >= prompt ? 1 : 0));
    }
  }

  Schedule schedule_;
  Scheduler scheduler_;
  FakeModel model_;
  std::map<RowId, Row> rows_;
  std::vector<Outcome> outcomes_;
  int64_t step_ = 0, cached_tokens_ = 0, refused_ = 0;
};

// RC_PARAMS="max_success=20000" makes it a long run.
TEST(SchedulerProperty, RowsGetWhatTheyGetAloneAndEveryBlockIsAccountedFor) {
  int64_t runs = 0, preemptions = 0, cached_tokens = 0, refused = 0;
  EXPECT_TRUE(rc::check([&] {
    const Schedule schedule = any_schedule();
    Simulation run(schedule);
    try {
      run.to_the_end();
    } catch (const std::exception& e) {
      RC_LOG() << e.what() << "\n" << schedule;
      throw;
    }
    ++runs;
    preemptions += run.preemptions();
    cached_tokens += run.cached_tokens();
    refused += run.refused();
  }));
  // The schedules must reach what they are to test. Of 60 runs of 100 schedules the fewest preemptions were 17.
  EXPECT_GT(preemptions, runs / 20);
  EXPECT_GT(cached_tokens, runs);
  EXPECT_GT(refused, 0);
  std::cout << runs << " schedules, " << preemptions << " preemptions, " << cached_tokens << " cached tokens, "
            << refused << " rows refused\n";
}

}  // namespace
}  // namespace chorus::scheduler
