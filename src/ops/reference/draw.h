#pragma once

#include "ops/reference/reference.h"

namespace chorus::reference {

/// Who is drawn: the token of the first share that ends above the random number.
struct Shares {
  std::vector<int32_t> ids;  ///< that can be drawn, in the order of their shares
  Values ends;               ///< of the shares in [0, 1]
  Values logprobs;           ///< of ids, before temperature and cuts

  /// Whether the random number lies in the token's share, or so close to it.
  bool may_be(int32_t id, double uniform, double error) const;
};

/// For a row of op.rows, with op.logits as they are before any change.
Shares draw(const Draw& op, int64_t row);

}  // namespace chorus::reference
