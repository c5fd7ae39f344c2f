#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace chorus::scheduler {

using RowId = int64_t;

/// Where the keys and values of one pool (one layer kind) are in this step.
struct PoolPlan {
  std::vector<int32_t> slots;         ///< [T] block * block_tokens + offset: where K and V of the token go
  std::vector<int32_t> block_tables;  ///< [R, stride] the row's blocks in order; past the last one: unspecified
  std::vector<int32_t> first_block;   ///< [R] number, counted from position 0, of the first block in the table
  int64_t stride = 0;                 ///< blocks of the row that holds most
};

/// A row of the step, for the host.
struct PlanRow {
  RowId id;
  int64_t prompt_tokens;
  int64_t cached_tokens;  ///< prompt tokens that were found in the cache when the row was first admitted
  int64_t computed;       ///< positions in the cache before this step
};

/// A row whose next token is sampled from this step's logits.
struct Sample {
  int32_t row;    ///< index of the row in the step
  int32_t logit;  ///< index into logit_tokens
  RowId id;
  std::span<const int32_t> tokens;  ///< prompt and generated tokens, valid until commit()
  int64_t prompt_tokens;
  /// No token can follow this one: max_new_tokens, the context, or what the pools can hold for one row. commit()
  /// ends the row whatever its outcome says.
  bool last;
};

/// One step: T tokens of R rows, all decode rows first, then prefill chunks. The memory of the vectors is reserved
/// once and reused.
struct Plan {
  std::vector<int32_t> token_ids;        ///< [T]
  std::vector<int32_t> positions;        ///< [T]
  std::vector<int32_t> row_of_token;     ///< [T] index of the row in the step
  std::vector<int32_t> query_begin;      ///< [R + 1] the row's tokens are query_begin[r] .. query_begin[r + 1]
  std::vector<int32_t> context_lengths;  ///< [R] positions of the row that are in the cache after this step
  std::vector<PoolPlan> pools;           ///< in the order of Limits::pools
  std::vector<int32_t> logit_tokens;     ///< [L] indices of the tokens whose logits are wanted
  std::vector<int32_t> logit_rows;       ///< [L] their rows
  std::vector<PlanRow> rows;             ///< [R]
  std::vector<Sample> samples;           ///< [S], S <= min(R, L)
  int64_t decode_rows = 0;               ///< the first rows, which have one token each

  bool empty() const { return token_ids.empty(); }
};

}  // namespace chorus::scheduler
