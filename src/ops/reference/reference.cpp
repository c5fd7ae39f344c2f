#include "ops/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/dequantize.h"

namespace chorus::reference {
namespace {

std::vector<float> matrix_row(const Matrix& m, int64_t matrix, int64_t row) {
  std::vector<float> out(size_t(m.columns));
  dequantize_row(m, matrix, row, out);
  return out;
}

double bias_at(const Tensor& bias, int64_t i) {
  return bias.empty() ? 0 : double(load_float(bias.dtype(), bias.raw(), i));
}

// W[matrix] * x + bias[matrix]
Values apply(const Matrix& w, const Tensor& bias, int64_t matrix, const Values& x) {
  Values out(static_cast<size_t>(w.rows));
  for (int64_t o = 0; o < w.rows; ++o) {
    const std::vector<float> row = matrix_row(w, matrix, o);
    double sum = bias_at(bias, matrix * w.rows + o);
    for (size_t i = 0; i < row.size(); ++i) sum += x[i] * double(row[i]);
    out[size_t(o)] = sum;
  }
  return out;
}

// `n` zeros, or the residual of so many values.
Values residual_or_zeros(const Tensor& residual, int64_t n) {
  if (residual.empty()) return Values(static_cast<size_t>(n));
  const auto values = residual.values<float>();
  return Values(values.begin(), values.end());
}

Values token(const Tensor& x, int64_t t) {
  const auto row = x.row<float>(t);
  return Values(row.begin(), row.end());
}

}  // namespace

Values embedding(const Embedding& op) {
  Values out;
  for (const int32_t id : op.token_ids.values<int32_t>()) {
    const std::vector<float> row = matrix_row(op.table, 0, id);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

Values rms_norm(const RmsNorm& op) {
  Values out;
  for (int64_t t = 0; t < op.x.size(0); ++t) {
    const Values x = token(op.x, t);
    double square_sum = 0;
    for (const double v : x) square_sum += v * v;
    const double scale = 1 / std::sqrt(square_sum / double(x.size()) + double(op.eps));
    for (size_t h = 0; h < x.size(); ++h) out.push_back(x[h] * scale * double(op.weight.data<float>()[h]));
  }
  return out;
}

Values mat_mul(const MatMul& op) {
  const int64_t tokens = op.x.size(0), outputs = op.linear.outputs();
  Values out = residual_or_zeros(op.residual, tokens * outputs);
  for (int64_t o = 0; o < outputs; ++o) {
    const std::vector<float> row = matrix_row(op.linear.weight, 0, o);
    for (int64_t t = 0; t < tokens; ++t) {
      double sum = bias_at(op.linear.bias, o);
      for (size_t i = 0; i < row.size(); ++i) sum += double(op.x.row<float>(t)[i]) * double(row[i]);
      out[size_t(t * outputs + o)] += sum;
    }
  }
  return out;
}

Values rope_angles(const RopeAngles& op) {
  Values out;
  for (const int32_t position : op.positions.values<int32_t>())
    for (int part = 0; part < 2; ++part)
      for (const float frequency : op.frequencies.values<float>()) {
        const double angle = double(position) * double(frequency);
        out.push_back(double(op.scale) * (part == 0 ? std::cos(angle) : std::sin(angle)));
      }
  return out;
}

Values expert_mlp(const ExpertMlp& op) {
  const int64_t hidden = op.x.size(1), chosen = op.experts.size(1);
  const double limit = double(op.activation.limit), alpha = double(op.activation.alpha);
  Values out = residual_or_zeros(op.residual, op.x.elements());
  for (int64_t t = 0; t < op.x.size(0); ++t)
    for (int64_t j = 0; j < chosen; ++j) {
      const int64_t expert = op.experts.data<int32_t>()[t * chosen + j];
      const Values gate = apply(op.gate.weight, op.gate.bias, expert, token(op.x, t));
      const Values up = apply(op.up.weight, op.up.bias, expert, token(op.x, t));
      Values act(gate.size());
      for (size_t i = 0; i < act.size(); ++i) {
        const double g = std::min(gate[i], limit), u = std::clamp(up[i], -limit, limit);
        act[i] = g / (1 + std::exp(-alpha * g)) * (u + 1);
      }
      const Values y = apply(op.down.weight, op.down.bias, expert, act);
      for (int64_t h = 0; h < hidden; ++h)
        out[size_t(t * hidden + h)] += double(op.weights.data<float>()[t * chosen + j]) * y[size_t(h)];
    }
  return out;
}

Values rows(const Rows& op) {
  Values out;
  for (const int32_t i : op.index.values<int32_t>()) {
    const Values row = token(op.x, i);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

Routed routing(const Routing& op) {
  const int64_t chosen = op.experts.size(1), tokens = op.x.size(0);
  Routed out;
  out.normed = rms_norm({.x = op.x, .weight = op.norm, .eps = op.eps, .out = {}});
  for (int64_t t = 0; t < tokens; ++t) {
    const auto first = out.normed.begin() + t * op.x.size(1);
    const Values logits = apply(op.router.weight, op.router.bias, 0, {first, first + op.x.size(1)});
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return logits[size_t(a)] > logits[size_t(b)]; });
    double sum = 0;
    for (int64_t j = 0; j < chosen; ++j) sum += std::exp(logits[size_t(order[size_t(j)])] - logits[size_t(order[0])]);
    for (int64_t j = 0; j < chosen; ++j) {
      out.experts.push_back(order[size_t(j)]);
      out.weights.push_back(std::exp(logits[size_t(order[size_t(j)])] - logits[size_t(order[0])]) / sum);
    }
  }
  return out;
}

// RopeStore of these values in place of op.qkv's.
static Values rope_store(const RopeStore& op, const Values& qkv, KvValues& kv) {
  const int64_t dim = op.kv.head_dim, half = dim / 2, kv_heads = op.kv.kv_heads, tokens = op.slots.size(0);
  const int64_t width = int64_t(qkv.size()) / std::max<int64_t>(tokens, 1), heads = width / dim - 2 * kv_heads;
  Values out;
  for (int64_t t = 0; t < tokens; ++t) {
    Values x(qkv.begin() + t * width, qkv.begin() + (t + 1) * width);
    for (int64_t n = 0; n < heads + kv_heads; ++n)
      for (int64_t i = 0; i < half; ++i) {
        const double c = double(op.angles.row<float>(t)[size_t(i)]);
        const double s = double(op.angles.row<float>(t)[size_t(half + i)]);
        double &low = x[size_t(n * dim + i)], &high = x[size_t(n * dim + half + i)];
        const double a = low, b = high;
        low = a * c - b * s;
        high = b * c + a * s;
      }
    const auto k = x.begin() + heads * dim, v = k + kv_heads * dim;
    out.insert(out.end(), x.begin(), k);
    const auto at = size_t(op.slots.data<int32_t>()[t] * kv_heads * dim), n = size_t(kv_heads * dim);
    kv.keys.resize(std::max(kv.keys.size(), at + n));
    kv.values.resize(kv.keys.size());
    std::copy_n(k, n, kv.keys.begin() + int64_t(at));
    std::copy_n(v, n, kv.values.begin() + int64_t(at));
  }
  return out;
}

Values rope_store(const RopeStore& op, KvValues& kv) {
  const auto qkv = op.qkv.values<float>();
  return rope_store(op, Values(qkv.begin(), qkv.end()), kv);
}

Values qkv_rope_store(const QkvRopeStore& op, KvValues& kv) {
  return rope_store({.qkv = {}, .angles = op.angles, .slots = op.slots, .kv = op.kv, .out = {}},
                    mat_mul({.x = op.x, .linear = op.qkv, .out = {}}), kv);
}

Values paged_attention(const PagedAttention& op, const KvValues& kv) {
  const int64_t heads = op.q.size(1), dim = op.q.size(2), kv_heads = op.kv.kv_heads, block = op.kv.block_tokens;
  Values out(size_t(op.q.elements()));
  for (int64_t t = 0; t < op.q.size(0); ++t) {
    const int64_t position = op.positions.data<int32_t>()[t], row = op.row_of_token.data<int32_t>()[t];
    const int64_t first = op.window > 0 ? std::max<int64_t>(0, position - op.window + 1) : 0;
    const auto slot_of = [&](int64_t p) {
      const int64_t entry = p / block - op.first_block.data<int32_t>()[row];
      return int64_t(op.block_tables.row<int32_t>(row)[size_t(entry)]) * block + p % block;
    };
    for (int64_t n = 0; n < heads; ++n) {
      const int64_t g = n / (heads / kv_heads);
      Values score;
      double top = op.sinks.empty() ? -INFINITY : double(op.sinks.data<float>()[n]);
      for (int64_t p = first; p <= position; ++p) {
        double sum = 0;
        for (int64_t d = 0; d < dim; ++d)
          sum += double(op.q.data<float>()[(t * heads + n) * dim + d]) *
                 kv.keys[size_t((slot_of(p) * kv_heads + g) * dim + d)];
        score.push_back(sum * double(op.scale));
        top = std::max(top, score.back());
      }
      double total = op.sinks.empty() ? 0 : std::exp(double(op.sinks.data<float>()[n]) - top);
      for (double& s : score) total += (s = std::exp(s - top));
      for (int64_t p = first; p <= position; ++p)
        for (int64_t d = 0; d < dim; ++d)
          out[size_t((t * heads + n) * dim + d)] += score[size_t(p - first)] / total *
                                                    kv.values[size_t((slot_of(p) * kv_heads + g) * dim + d)];
    }
  }
  return out;
}

}  // namespace chorus::reference
