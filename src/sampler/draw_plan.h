#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chorus/sampling.h"
#include "ops/draw.h"

namespace chorus::sampler {

/// A row whose next token is wanted.
struct DrawRequest {
  const SamplingParams* params = nullptr;
  std::span<const int32_t> tokens = {};  ///< prompt and generated ids so far
  uint64_t row_key = 0;
  int32_t logits = 0;  ///< row of the step's logits
};

/// Puts requests into the form of the op Draw: the random numbers are drawn, the tokens of the penalty windows are
/// counted. All memory is taken by the constructor.
class DrawPlan {
 public:
  DrawPlan(int64_t vocabulary, int64_t max_rows);

  /// One row per request.
  void make(std::span<const DrawRequest> requests);

  std::span<const DrawRow> rows() const { return rows_; }
  std::span<const LogitChange> changes() const { return changes_; }
  /// There was no room for the row's changes: whatever comes of it, the host must draw.
  bool for_host(size_t row) const { return for_host_[row]; }

  static int64_t max_changes(int64_t max_rows) { return 4096 + 64 * max_rows; }

 private:
  void add(const DrawRequest& request);
  bool add_changes(const SamplingParams& p, std::span<const int32_t> tokens);
  LogitChange* change_of(int32_t token_id);

  std::vector<DrawRow> rows_;
  std::vector<LogitChange> changes_;
  std::vector<bool> for_host_;
  std::vector<int32_t> change_of_token_;  ///< [V] 1 + its index in changes_; 0 between rows
};

}  // namespace chorus::sampler
