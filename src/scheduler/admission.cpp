// Waiting rows become running ones.
#include <algorithm>

#include "scheduler/scheduler.h"

namespace chorus::scheduler {
namespace {

// A row that could share stands back while another computes the shared part; were it to be overtaken for longer
// than this, it computes the part itself.
constexpr int most_stood_back = 64;

}  // namespace

Scheduler::Candidate Scheduler::candidate(Seat& row) const {
  const int64_t known = int64_t(row.tokens.size());
  return {.key = key(row),
          .seat = &row,
          .tokens = row.tokens,
          .limit = row.limit,
          .may_match = row.all_logits ? std::min(row.logits_given, known - 1) : known - 1};
}

Scheduler::Candidate Scheduler::candidate(const Key& key, const Waiting& waiting) const {
  const RowSpec& spec = waiting.spec;
  return {.key = key,
          .seat = nullptr,
          .tokens = spec.prompt,
          .limit = limit_of(spec),
          .may_match = spec.all_logits ? 0 : int64_t(spec.prompt.size()) - 1};
}

// In order, until one finds no room. Only rows that stand back are passed over, and a row without a seat when all
// seats are held by preempted rows.
void Scheduler::admit(int64_t budget) {
  for (size_t p = 0; p < cache_.pools(); ++p) {
    spare_[p] = 0;
    for (const Seat* row : running_) spare_[p] += growth(*row, p);
  }
  size_t old = 0;
  auto fresh = waiting_.begin();
  int64_t stood_back = 0;
  while (budget > 0 && int64_t(running_.size()) < limits_.max_rows && stood_back <= limits_.max_rows) {
    const bool has_old = old < preempted_.size(), has_fresh = fresh != waiting_.end() && !free_seats_.empty();
    if (!has_old && !has_fresh) return;
    const bool take_old = has_old && (!has_fresh || key(*preempted_[old]) < fresh->first);
    const auto after = take_old ? fresh : std::next(fresh);  // admission erases the row from its queue
    int& patience = take_old ? preempted_[old]->stood_back : fresh->second.stood_back;
    const Candidate candidate =
        take_old ? this->candidate(*preempted_[old]) : this->candidate(fresh->first, fresh->second);
    const Admission admission = try_admit(candidate, patience < most_stood_back, budget);
    if (admission == Admission::no_room) return;
    if (admission == Admission::stands_back) {
      ++patience;
      ++stood_back;
      if (take_old) ++old;
    }
    fresh = after;
  }
}

Scheduler::Admission Scheduler::try_admit(const Candidate& candidate, bool may_stand_back, int64_t& budget) {
  if (found_no_room_before(candidate)) return Admission::no_room;
  BlockCache::Match match;
  matched_.clear();
  if (limits_.share_prefixes) match = cache_.match(candidate.tokens.first(size_t(candidate.may_match)), matched_);
  if (match.pending && may_stand_back) return Admission::stands_back;
  if (!fits(candidate, match.blocks)) return Admission::no_room;

  Seat& row = sit_down(candidate);
  for (size_t p = 0; p < cache_.pools(); ++p)
    if (limits_.pools[p].window == 0) take_blocks(row, p, int64_t(row.tokens.size()));
  schedule(row, tokens_that_fit(row, std::min(budget, row.remaining()), spare_), budget);
  publish(row);
  for (size_t p = 0; p < cache_.pools(); ++p) spare_[p] += growth(row, p);
  return Admission::done;
}

// Only a block that was freed since then can change the answer, or the end of all other rows.
bool Scheduler::found_no_room_before(const Candidate& candidate) const {
  return !running_.empty() && no_room_.row == candidate.key.id &&
         cache_.pool(no_room_.pool).free() <= no_room_.free;
}

// Whether the known tokens after the matched blocks find room beside what the running rows may need next.
bool Scheduler::fits(const Candidate& candidate, int64_t matched) {
  const auto known = int64_t(candidate.tokens.size());
  for (size_t p = 0; p < cache_.pools(); ++p) {
    const int64_t window = limits_.pools[p].window;
    const int64_t first = first_visible_block(window, matched * limits_.block_tokens, limits_.block_tokens);
    int64_t needed = steady_blocks(p, known) - (matched - first);
    for (int64_t i = first; i < matched; ++i)
      needed += cache_.pool(p).owners(cache_.prefixes().block(matched_[size_t(i)], p)) == 0;
    const bool grows = window == 0 && blocks_for(candidate.limit - 1) > blocks_for(known);
    if (!running_.empty()) needed += spare_[p] + grows;
    if (needed > cache_.pool(p).free()) {
      no_room_ = {.row = candidate.key.id, .pool = p, .free = cache_.pool(p).free()};
      return false;
    }
  }
  no_room_ = {};
  return true;
}

// The row runs, with the blocks of its matched prefix.
Seat& Scheduler::sit_down(const Candidate& candidate) {
  Seat& row = candidate.seat != nullptr ? *candidate.seat : *free_seats_.back();
  const int64_t matched_tokens = int64_t(matched_.size()) * limits_.block_tokens;
  if (candidate.seat != nullptr) {
    std::erase(preempted_, &row);
  } else {
    free_seats_.pop_back();
    const auto waiting = waiting_.find(candidate.key);
    row.id = candidate.key.id;
    row.rank = candidate.key.rank;
    row.tokens.assign(candidate.tokens.begin(), candidate.tokens.end());
    row.prompt_tokens = int64_t(row.tokens.size());
    row.limit = candidate.limit;
    row.all_logits = waiting->second.spec.all_logits;
    row.logits_given = 0;
    row.cached_tokens = matched_tokens;
    row.stood_back = 0;
    row.cancelled = false;
    waiting_.erase(waiting);
  }
  row.computed = matched_tokens;
  row.scheduled = 0;
  row.published = int64_t(matched_.size());
  row.prefix = matched_.empty() ? PrefixIndex::root : cache_.prefixes().serial(matched_.back());
  for (size_t p = 0; p < cache_.pools(); ++p) {
    RowBlocks& blocks = row.blocks[p];
    blocks.first = first_visible_block(limits_.pools[p].window, row.computed, limits_.block_tokens);
    for (auto i = size_t(blocks.first); i < matched_.size(); ++i) {
      blocks.ids.push_back(cache_.prefixes().block(matched_[i], p));
      cache_.share(p, blocks.ids.back());
    }
  }
  const auto later = [&](const Seat* other) { return key(row) < key(*other); };
  running_.insert(std::ranges::find_if(running_, later), &row);
  return row;
}

}  // namespace chorus::scheduler
