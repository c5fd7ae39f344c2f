#include "ops/op_timer.h"

#include <fmt/format.h>

#include <algorithm>

namespace chorus {
namespace {

std::vector<int32_t> on_host(Backend& backend, const Tensor& ids) {
  std::vector<int32_t> values(size_t(ids.elements()));
  backend.download(values.data(), ids, ids.bytes());
  return values;
}

}  // namespace

OpGroup& OpTimer::group(const Key& key) {
  const auto found = std::find(keys_.begin(), keys_.end(), key);
  if (found != keys_.end()) return groups_[size_t(found - keys_.begin())];
  keys_.push_back(key);
  groups_.push_back({.name = key.to > 0     ? fmt::format("{} {} -> {}", key.kind, key.from, key.to)
                             : key.from > 0 ? fmt::format("{} {}", key.kind, key.from)
                                            : fmt::format("{}", key.kind)});
  return groups_.back();
}

OpGroup& OpTimer::group_of(const MatMul& op) {
  return group({"mat_mul", op.linear.weight.columns, op.linear.weight.rows});
}
OpGroup& OpTimer::group_of(const QkvRopeStore& op) {
  return group({"qkv, rope, kv_store", op.qkv.weight.columns, op.qkv.weight.rows});
}
OpGroup& OpTimer::group_of(const ExpertMlp& op) {
  return group({"expert_mlp", op.gate.weight.columns, op.gate.weight.rows});
}
OpGroup& OpTimer::group_of(const PagedAttention& op) {
  return group({op.window > 0 ? "attention, window" : "attention", op.window, 0});
}

void OpTimer::add_cost(Backend&, const MatMul& op, OpGroup& group) {
  group.bytes += double(op.linear.weight.bytes());
  group.macs += double(op.x.size(0)) * double(op.linear.weight.rows) * double(op.linear.weight.columns);
}

void OpTimer::add_cost(Backend& backend, const QkvRopeStore& op, OpGroup& group) {
  add_cost(backend, MatMul{.x = op.x, .linear = op.qkv, .out = {}}, group);
}

void OpTimer::add_cost(Backend&, const Routing& op, OpGroup& group) {
  group.bytes += double(op.router.weight.bytes());
  group.macs += double(op.x.size(0)) * double(op.router.weight.rows) * double(op.router.weight.columns);
}

void OpTimer::add_cost(Backend& backend, const ExpertMlp& op, OpGroup& group) {
  std::vector<int32_t> experts = on_host(backend, op.experts);
  const double pairs = double(experts.size());
  std::sort(experts.begin(), experts.end());
  const auto used = double(std::unique(experts.begin(), experts.end()) - experts.begin());
  for (const ExpertLinear* m : {&op.gate, &op.up, &op.down}) {
    group.bytes += double(m->weight.bytes()) / double(m->experts()) * used;
    group.macs += pairs * double(m->weight.rows) * double(m->weight.columns);
  }
}

// The keys and values of a row count once, however many of its tokens are in the step.
void OpTimer::add_cost(Backend& backend, const PagedAttention& op, OpGroup& group) {
  const std::vector<int32_t> positions = on_host(backend, op.positions), rows = on_host(backend, op.row_of_token);
  const auto first_seen = [&](int64_t p) { return op.window > 0 ? std::max<int64_t>(0, p - op.window + 1) : 0; };
  double seen = 0, read = 0;
  for (size_t t = 0; t < positions.size(); ++t) {
    const int64_t p = positions[t];
    seen += double(p + 1 - first_seen(p));
    const bool new_row = t == 0 || rows[t] != rows[t - 1];
    read += double(new_row ? p + 1 - first_seen(p) : 1);
  }
  group.bytes += read * 2 * double(op.kv.kv_heads * op.kv.head_dim) * double(backend.kv_element_bytes());
  group.macs += seen * 2 * double(op.q.size(1) * op.q.size(2));
}

}  // namespace chorus
