#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scheduler/plan.h"
#include "scheduler/prefix_index.h"

namespace chorus::scheduler {

/// The blocks of one pool that a row owns: those with the numbers first .. first + ids.size() - 1 from position 0.
struct RowBlocks {
  int64_t first = 0;
  std::vector<int32_t> ids;
  int64_t end() const { return first + int64_t(ids.size()); }
};

/// A row that has been admitted at least once. Seats are reused: a new row finds the memory of an old one.
struct Seat {
  RowId id = -1;
  int64_t rank = 0;             ///< lower goes first: minus the priority
  std::vector<int32_t> tokens;  ///< prompt and generated
  int64_t prompt_tokens = 0;
  int64_t limit = 0;  ///< tokens with which the row ends
  bool all_logits = false;
  int64_t logits_given = 0;  ///< positions whose logits have been in a plan, when all are wanted
  int64_t cached_tokens = 0;
  int64_t computed = 0;                 ///< positions in the cache
  int64_t scheduled = 0;                ///< tokens in the step under way
  int64_t published = 0;                ///< blocks known to the cache, a prefix
  uint64_t prefix = PrefixIndex::root;  ///< the serial of that prefix
  std::vector<RowBlocks> blocks;        ///< per pool
  int stood_back = 0;                   ///< steps it left to a row that computes what it can share
  bool cancelled = false;

  int64_t remaining() const { return int64_t(tokens.size()) - computed; }
};

}  // namespace chorus::scheduler
