#pragma once

#include <array>
#include <map>

#include "backend/backends.h"
#include "ops/reference/reference.h"

namespace chorus::test {

/// What a layer of attention sees: rows with `past` tokens in the cache and `fresh` ones in this step.
struct RowOfTokens {
  int64_t past, fresh;
};
struct AttentionCase {
  const char* why;
  int64_t heads, kv_heads, dim, window;
  bool sinks;
  std::vector<RowOfTokens> rows;

  float scale() const { return 1 / std::sqrt(float(dim)); }
};

/// Queries, keys and values of one row, by position: they depend on the row alone. Keys and values are bf16
/// numbers, so that a cache in bf16 loses nothing.
struct RowValues {
  RowValues(const AttentionCase& c, size_t number) {
    Random random(100 + uint32_t(number));
    const int64_t length = c.rows[number].past + c.rows[number].fresh;
    const auto fill = [&](int64_t n, bool rounded) {
      std::vector<float> values(static_cast<size_t>(n));
      for (float& value : values) value = rounded ? to_float(from_float<bf16>(random.normal())) : random.normal();
      return values;
    };
    k = fill(length * c.kv_heads * c.dim, true);
    v = fill(length * c.kv_heads * c.dim, true);
    q = fill(length * c.heads * c.dim, false);
    for (float& value : q) value *= 2;
  }
  std::vector<float> q, k, v;
};

/// The values of a row of a case, made once.
inline const RowValues& values_of(const AttentionCase& c, size_t row) {
  static std::map<std::array<int64_t, 5>, RowValues> made;
  const std::array<int64_t, 5> key{int64_t(row), c.heads, c.kv_heads, c.dim, c.rows[row].past + c.rows[row].fresh};
  const auto it = made.find(key);
  return it != made.end() ? it->second : made.emplace(key, RowValues(c, row)).first->second;
}

constexpr int64_t block_tokens = 16;

/// Some rows of a case in one step, in blocks out of order.
class AttentionStep {
 public:
  /// Rows `numbers` of the case; of each only `fresh_of(row)` new tokens, after `past_of(row)`.
  struct Part {
    size_t row;
    int64_t past, fresh;
  };
  AttentionStep(const AttentionCase& c, std::vector<Part> parts, uint32_t seed)
      : case_(c), parts_(std::move(parts)) {
    Random random(seed);
    int64_t needed = 3;
    for (const Part& p : parts_) {
      // A window lets go of the blocks behind it.
      const int64_t first = c.window > 0 ? std::max<int64_t>(0, p.past - c.window + 1) / block_tokens : 0;
      first_block_.push_back(int32_t(first));
      const int64_t count = (p.past + p.fresh + block_tokens - 1) / block_tokens - first;
      needed += count;
      stride_ = std::max(stride_, count + 1);
    }
    blocks_ = needed;
    std::vector<int32_t> free;
    for (int32_t b = 0; b < needed; ++b) free.push_back(b);
    random.shuffle(free);
    for (size_t i = 0; i < parts_.size(); ++i) {
      const int64_t count = (parts_[i].past + parts_[i].fresh + block_tokens - 1) / block_tokens - first_block_[i];
      for (int64_t b = 0; b < stride_; ++b) {
        tables_.push_back(b < count ? free.back() : INT32_MIN);  // past its end a table holds anything
        if (b < count) free.pop_back();
      }
    }
    if (c.sinks)
      for (int64_t n = 0; n < c.heads; ++n) sinks_.push_back(Random(uint32_t(n)).normal() * 2);
  }

  int64_t blocks() const { return blocks_; }

  /// Stores what lies before the new tokens.
  template <typename Store>
  void store_past(Memory& memory, const KvLayer& kv, Store&& store) const {
    for (size_t i = 0; i < parts_.size(); ++i)
      store_tokens(memory, kv, i, first_block_[i] * block_tokens, parts_[i].past, store);
  }
  /// All new tokens in one store.
  RopeStore store_fresh(Memory& memory, const KvLayer& kv) const {
    std::vector<float> k, v;
    std::vector<int32_t> slots;
    for (size_t i = 0; i < parts_.size(); ++i)
      append(i, parts_[i].past, parts_[i].past + parts_[i].fresh, k, v, slots);
    return store_op(memory, kv, k, v, slots);
  }
  PagedAttention attention(Memory& memory, const KvLayer& kv) const {
    std::vector<float> q;
    std::vector<int32_t> positions, rows;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const RowValues& values = values_of(case_, parts_[i].row);
      const int64_t row = case_.heads * case_.dim, begin = parts_[i].past, end = begin + parts_[i].fresh;
      q.insert(q.end(), values.q.begin() + begin * row, values.q.begin() + end * row);
      for (int64_t p = begin; p < end; ++p) {
        positions.push_back(int32_t(p));
        rows.push_back(int32_t(i));
      }
    }
    const auto tokens = int64_t(rows.size());
    const Shape shape{tokens, case_.heads, case_.dim};
    return {.q = memory.copy(q, shape),
            .kv = kv,
            .positions = memory.copy(positions, {tokens}),
            .row_of_token = memory.copy(rows, {tokens}),
            .block_tables = memory.copy(tables_, {int64_t(parts_.size()), stride_}),
            .first_block = memory.copy(first_block_, {int64_t(parts_.size())}),
            .scale = case_.scale(),
            .window = case_.window,
            .sinks = case_.sinks ? memory.copy(sinks_, {case_.heads}) : Tensor(),
            .out = result(memory, shape)};
  }

 private:
  template <typename Store>
  void store_tokens(Memory& memory, const KvLayer& kv, size_t i, int64_t begin, int64_t end, Store&& store) const {
    if (begin >= end) return;
    std::vector<float> k, v;
    std::vector<int32_t> slots;
    append(i, begin, end, k, v, slots);
    store(store_op(memory, kv, k, v, slots));
  }

  void append(size_t i, int64_t begin, int64_t end, std::vector<float>& k, std::vector<float>& v,
              std::vector<int32_t>& slots) const {
    const RowValues& values = values_of(case_, parts_[i].row);
    const int64_t row = case_.kv_heads * case_.dim;
    k.insert(k.end(), values.k.begin() + begin * row, values.k.begin() + end * row);
    v.insert(v.end(), values.v.begin() + begin * row, values.v.begin() + end * row);
    for (int64_t p = begin; p < end; ++p) {
      const int32_t block = tables_[i * size_t(stride_) + size_t(p / block_tokens - first_block_[i])];
      slots.push_back(int32_t(block * block_tokens + p % block_tokens));
    }
  }

  const AttentionCase& case_;
  std::vector<Part> parts_;
  std::vector<int32_t> first_block_, tables_;
  std::vector<float> sinks_;
  int64_t stride_ = 1, blocks_ = 0;
};

/// A layer of the backend's cache that holds NaNs, as blocks of another row may.
class KvMemory {
 public:
  KvMemory(CpuBackend& backend, const AttentionCase& c, int64_t blocks)
      : layer(backend.make_kv_layer(blocks, c.kv_heads, c.dim, block_tokens)), backend_(backend) {
    std::memset(layer.keys.raw(), 0xff, layer.keys.bytes());
    std::memset(layer.values.raw(), 0xff, layer.values.bytes());
  }
  KvMemory(const KvMemory&) = delete;
  ~KvMemory() {
    backend_.release(layer.keys);
    backend_.release(layer.values);
  }
  const KvLayer layer;

 private:
  CpuBackend& backend_;
};

/// The step on a backend: its output in `memory`.
inline Tensor attend(CpuBackend& backend, Memory& memory, const AttentionCase& c, const AttentionStep& step) {
  const KvMemory kv(backend, c, step.blocks());
  step.store_past(memory, kv.layer, [&](const RopeStore& op) { run(backend, op); });
  run(backend, step.store_fresh(memory, kv.layer));
  const PagedAttention op = step.attention(memory, kv.layer);
  run(backend, op);
  return op.out;
}

/// All rows of the case, whole.
inline std::vector<AttentionStep::Part> all_parts(const AttentionCase& c) {
  std::vector<AttentionStep::Part> parts;
  for (size_t r = 0; r < c.rows.size(); ++r) parts.push_back({r, c.rows[r].past, c.rows[r].fresh});
  return parts;
}

}  // namespace chorus::test
