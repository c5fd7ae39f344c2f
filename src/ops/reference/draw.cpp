#include "ops/reference/draw.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace chorus::reference {
namespace {

Values changed_logits(const Draw& op, const DrawRow& row) {
  const auto logits = op.logits.row<float>(row.logits);
  Values x(logits.begin(), logits.end());
  const auto* changes = static_cast<const LogitChange*>(op.changes.raw());
  for (int32_t c = row.changes_begin; c < row.changes_end; ++c) {
    double& logit = x[size_t(changes[c].token_id)];
    logit += double(changes[c].bias);
    if (changes[c].count == 0) continue;
    const double repetition = row.repetition_penalty;
    logit = logit < 0 ? logit * repetition : logit / repetition;
    logit -= double(row.presence_penalty) + double(row.frequency_penalty) * changes[c].count;
  }
  return x;
}

double sum(const Values& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

}  // namespace

bool Shares::may_be(int32_t id, double uniform, double error) const {
  const auto found = std::find(ids.begin(), ids.end(), id);
  if (found == ids.end()) return false;
  const auto i = size_t(found - ids.begin());
  return uniform >= (i == 0 ? 0 : ends[i - 1]) - error && uniform < ends[i] + error;
}

Shares draw(const Draw& op, int64_t r) {
  const DrawRow& row = static_cast<const DrawRow*>(op.rows.raw())[r];
  const Values x = changed_logits(op, row);
  const double top = *std::max_element(x.begin(), x.end());
  Values weights;
  for (const double v : x) weights.push_back(std::exp(v - top));
  const double total = sum(weights);

  Shares shares;
  shares.ids.resize(x.size());
  std::iota(shares.ids.begin(), shares.ids.end(), 0);
  const auto likelier = [&](int32_t a, int32_t b) { return x[size_t(a)] > x[size_t(b)]; };
  const bool greedy = row.inverse_temperature == 0;
  const bool cuts = row.top_p < 1 || row.top_k > 0 || std::isfinite(row.log_min_p);
  if (greedy || cuts) std::stable_sort(shares.ids.begin(), shares.ids.end(), likelier);
  if (greedy) {
    shares.ids.resize(1);
  } else if (cuts) {
    double above = 0;
    size_t kept = 0;
    for (; kept < shares.ids.size(); ++kept) {
      const auto id = size_t(shares.ids[kept]);
      if (kept > 0 && ((row.top_k > 0 && kept >= size_t(row.top_k)) || above >= row.top_p * total ||
                       x[id] < top + double(row.log_min_p)))
        break;
      above += weights[id];
    }
    shares.ids.resize(kept);
  }
  for (const int32_t id : shares.ids) {
    shares.ends.push_back(greedy ? 1 : std::exp((x[size_t(id)] - top) * double(row.inverse_temperature)));
    shares.logprobs.push_back(x[size_t(id)] - top - std::log(total));
  }
  const double all = sum(shares.ends);
  std::partial_sum(shares.ends.begin(), shares.ends.end(), shares.ends.begin());
  for (double& end : shares.ends) end /= all;
  return shares;
}

}  // namespace chorus::reference
