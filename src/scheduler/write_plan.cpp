// The scheduled rows as flat arrays.
#include <algorithm>

#include "scheduler/scheduler.h"

namespace chorus::scheduler {

void Scheduler::write_plan() {
  step_rows_.clear();
  for (const bool decode : {true, false}) {
    for (Seat* row : running_)
      if (row->scheduled > 0 && (row->remaining() == 1) == decode) step_rows_.push_back(row);
    if (decode) plan_.decode_rows = int64_t(step_rows_.size());
  }
  for (auto* list : {&plan_.token_ids, &plan_.positions, &plan_.row_of_token, &plan_.query_begin,
                     &plan_.context_lengths, &plan_.logit_tokens, &plan_.logit_rows})
    list->clear();
  plan_.rows.clear();
  plan_.samples.clear();
  plan_.query_begin.push_back(0);
  for (size_t r = 0; r < step_rows_.size(); ++r) write_tokens(*step_rows_[r], int32_t(r));
  write_tables();
}

void Scheduler::write_tokens(const Seat& row, int32_t r) {
  const int64_t end = row.computed + row.scheduled;
  const bool sampled = end == int64_t(row.tokens.size());
  for (int64_t position = row.computed; position < end; ++position) {
    if (row.all_logits ? position >= row.logits_given || (sampled && position + 1 == end)
                       : sampled && position + 1 == end) {
      plan_.logit_tokens.push_back(int32_t(plan_.token_ids.size()));
      plan_.logit_rows.push_back(r);
    }
    plan_.token_ids.push_back(row.tokens[size_t(position)]);
    plan_.positions.push_back(int32_t(position));
    plan_.row_of_token.push_back(r);
  }
  plan_.query_begin.push_back(int32_t(plan_.token_ids.size()));
  plan_.context_lengths.push_back(int32_t(end));
  plan_.rows.push_back({.id = row.id,
                        .prompt_tokens = row.prompt_tokens,
                        .cached_tokens = row.cached_tokens,
                        .computed = row.computed});
  if (sampled)
    plan_.samples.push_back({.row = r,
                             .logit = int32_t(plan_.logit_tokens.size()) - 1,
                             .id = row.id,
                             .tokens = row.tokens,
                             .prompt_tokens = row.prompt_tokens,
                             .last = int64_t(row.tokens.size()) + 1 >= row.limit});
}

void Scheduler::write_tables() {
  for (size_t p = 0; p < cache_.pools(); ++p) {
    PoolPlan& pool = plan_.pools[p];
    pool.slots.clear();
    pool.first_block.clear();
    pool.stride = 0;
    for (const Seat* row : step_rows_) {
      const RowBlocks& blocks = row->blocks[p];
      pool.first_block.push_back(int32_t(blocks.first));
      pool.stride = std::max(pool.stride, int64_t(blocks.ids.size()));
      for (int64_t position = row->computed; position < row->computed + row->scheduled; ++position) {
        const int32_t block = blocks.ids[size_t(position / limits_.block_tokens - blocks.first)];
        pool.slots.push_back(int32_t(block * limits_.block_tokens + position % limits_.block_tokens));
      }
    }
    pool.block_tables.resize(step_rows_.size() * size_t(pool.stride));
    for (size_t r = 0; r < step_rows_.size(); ++r)
      std::ranges::copy(step_rows_[r]->blocks[p].ids, pool.block_tables.begin() + int64_t(r) * pool.stride);
  }
}

}  // namespace chorus::scheduler
