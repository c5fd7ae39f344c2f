#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/backend.h"

namespace chorus {

/// What the ops of one kind and size cost so far.
struct OpGroup {
  std::string name;  ///< "mat_mul 2880 -> 5120"
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;  ///< weights, keys and values that had to be read
  double macs = 0;   ///< multiply-adds
};

/// Times ops, to see where a step goes. Waits for the backend after every op, so that steps take longer than without.
class OpTimer {
 public:
  template <typename Op>
  void run(Backend& backend, const Op& op) {
    const double seconds = backend.seconds_of([&] { backend.run(op); });
    OpGroup& group = group_of(op);
    ++group.calls;
    group.seconds += seconds;
    add_cost(backend, op, group);
  }

  const std::vector<OpGroup>& groups() const { return groups_; }

 private:
  struct Key {
    const char* kind;
    int64_t from, to;
    bool operator==(const Key&) const = default;
  };
  OpGroup& group(const Key& key);
  OpGroup& group_of(const MatMul& op);
  OpGroup& group_of(const QkvRopeStore& op);
  OpGroup& group_of(const ExpertMlp& op);
  OpGroup& group_of(const PagedAttention& op);
  OpGroup& group_of(const Embedding&) { return group({"embedding", 0, 0}); }
  OpGroup& group_of(const RmsNorm&) { return group({"rms_norm", 0, 0}); }
  OpGroup& group_of(const RopeAngles&) { return group({"rope", 0, 0}); }
  OpGroup& group_of(const RopeStore&) { return group({"rope, kv_store", 0, 0}); }
  OpGroup& group_of(const Routing&) { return group({"routing", 0, 0}); }
  OpGroup& group_of(const Rows&) { return group({"rows", 0, 0}); }
  OpGroup& group_of(const Draw&) { return group({"draw", 0, 0}); }

  static void add_cost(Backend& backend, const MatMul& op, OpGroup& group);
  static void add_cost(Backend& backend, const QkvRopeStore& op, OpGroup& group);
  static void add_cost(Backend& backend, const ExpertMlp& op, OpGroup& group);
  static void add_cost(Backend& backend, const PagedAttention& op, OpGroup& group);
  static void add_cost(Backend& backend, const Routing& op, OpGroup& group);
  static void add_cost(Backend&, const Draw& op, OpGroup& group) { group.bytes += double(op.logits.bytes()); }
  template <typename Op>
  static void add_cost(Backend&, const Op&, OpGroup&) {}  // their tensors are small beside the weights

  std::vector<Key> keys_;
  std::vector<OpGroup> groups_;
};

}  // namespace chorus
