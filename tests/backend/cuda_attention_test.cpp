// Attention on a GPU: against the reference, and the row rule bit for bit. Without a device all is skipped.
#include "backend/attention_cases.h"
#include "backend/cuda/cuda.h"
#include "backend/cuda/kv_layout.h"

namespace chorus::test {
namespace {

/// Beside attention_cases.h: what the two kernels of the backend, and the segments of the keys, tell apart.
const AttentionCase device_cases[] = {
    {"a long prompt", 8, 1, 64, 0, true, {{0, 520}}},
    {"a long sliding prompt and a short one", 8, 1, 64, 128, true, {{0, 400}, {37, 300}}},
    {"rows of 1 to 5000 keys",
     16,
     2,
     64,
     0,
     true,
     {{0, 1}, {255, 1}, {256, 1}, {257, 1}, {1000, 1}, {2047, 1}, {4095, 1}, {4096, 1}, {4999, 1}}},
    {"chunks late in long rows", 8, 1, 64, 0, true, {{4090, 30}, {2000, 17}, {300, 5}, {16, 4}, {640, 100}}},
    {"windows over the borders of segments",
     16,
     2,
     64,
     128,
     true,
     {{255, 1}, {256, 1}, {250, 20}, {300, 1}, {383, 1}, {384, 1}, {4095, 1}, {4100, 40}, {5000, 1}}},
    {"segments of every length", 8, 1, 64, 0, true, {{20500, 1}, {16380, 6}, {5200, 3}, {5000, 18}}},
    {"many short rows", 8, 1, 64, 0, true, {{0, 40}, {0, 1}, {0, 2}, {0, 3}, {0, 5}, {0, 16}, {0, 17}, {0, 15}}},
    {"a window of one key, many tokens", 8, 1, 64, 1, true, {{0, 70}, {250, 30}}},
    {"a window of more than a segment", 8, 1, 64, 300, false, {{0, 400}, {700, 1}, {1000, 60}}},
    {"128 dimensions", 16, 4, 128, 0, false, {{0, 300}, {500, 1}, {77, 60}}},
    {"80 dimensions, many tokens", 8, 1, 80, 0, true, {{0, 200}, {300, 1}}},
    {"one head per kv head", 4, 4, 64, 0, true, {{0, 200}, {260, 1}, {100, 140}}},
    {"three heads per kv head", 6, 2, 64, 100, true, {{0, 150}, {260, 1}, {255, 20}}},
    {"4 heads per kv head", 8, 2, 64, 0, true, {{0, 150}, {260, 1}, {255, 20}}},
    {"20 heads per kv head", 40, 2, 64, 0, true, {{0, 90}, {300, 2}, {270, 1}}},
};

std::vector<AttentionCase> all_cases() {
  std::vector<AttentionCase> all(std::begin(attention_cases), std::end(attention_cases));
  all.insert(all.end(), std::begin(device_cases), std::end(device_cases));
  return all;
}

class CudaAttention : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0)
      GTEST_SKIP() << "SKIPPED: no CUDA device here, or no CUDA backend in this build";
    backend_ = cuda::make_backend("cuda", 2);
  }

  Tensor up(const Tensor& host) {
    if (host.empty()) return host;
    const Tensor t = backend_->allocate(host.dtype(), host.shape());
    taken_.push_back(t);
    backend_->upload(t, host.raw(), host.bytes());
    return t;
  }
  Tensor nans(Shape shape, DType dtype) {
    Memory memory;
    const Tensor t = memory.make(dtype, shape);
    std::memset(t.raw(), 0xff, t.bytes());
    return up(t);
  }

  /// The step's queries, rounded to bf16: what the tensor cores take.
  static PagedAttention on_host(Memory& memory, const AttentionStep& step, const KvLayer& kv) {
    PagedAttention op = step.attention(memory, kv);
    for (float& v : op.q.values<float>()) v = to_float(from_float<bf16>(v));
    return op;
  }

  void store(const RopeStore& host) {
    RopeStore op = host;
    op.qkv = up(host.qkv), op.angles = up(host.angles), op.slots = up(host.slots);
    run(op);
  }

  /// Runs in exactly the workspace that a measuring run asked for.
  template <typename Op>
  void run(const Op& op) {
    check(op);
    backend_->use_workspace(Arena());
    backend_->run(op);
    const size_t bytes = std::max<size_t>(backend_->workspace().peak(), 1);
    backend_->use_workspace(Arena(nans({int64_t(bytes)}, DType::u8).raw(), bytes));
    backend_->run(op);
    backend_->use_workspace(Arena());
  }

  /// The step's output in f32; q and out have `dtype` on the device.
  std::vector<float> attend(const AttentionCase& c, const AttentionStep& step, DType dtype = DType::f32,
                            int64_t longest = 0) {
    Memory memory;
    const KvLayer kv = backend_->make_kv_layer(step.blocks(), c.kv_heads, c.dim, block_tokens);
    taken_.insert(taken_.end(), {kv.keys, kv.values});
    const std::vector<std::byte> fill(kv.keys.bytes(), std::byte(0xff));
    backend_->upload(kv.keys, fill.data(), fill.size());
    backend_->upload(kv.values, fill.data(), fill.size());
    step.store_past(memory, kv, [&](const RopeStore& op) { store(op); });
    store(step.store_fresh(memory, kv));
    PagedAttention op = on_host(memory, step, kv);
    const size_t n = op.q.values<float>().size();
    if (dtype == DType::bf16) {
      const Tensor rounded = memory.make(DType::bf16, op.q.shape());
      for (size_t i = 0; i < n; ++i) rounded.data<bf16>()[i] = from_float<bf16>(op.q.data<float>()[i]);
      op.q = rounded;
    }
    op.q = up(op.q), op.positions = up(op.positions), op.row_of_token = up(op.row_of_token);
    op.block_tables = up(op.block_tables), op.first_block = up(op.first_block), op.sinks = up(op.sinks);
    op.out = nans(op.q.shape(), dtype);
    op.longest = longest;
    run(op);
    std::vector<float> out(n);
    if (dtype == DType::bf16) {
      std::vector<bf16> values(n);
      backend_->download(values.data(), op.out, op.out.bytes());
      for (size_t i = 0; i < n; ++i) out[i] = to_float(values[i]);
    } else {
      backend_->download(out.data(), op.out, op.out.bytes());
    }
    for (const Tensor& t : taken_) backend_->release(t);
    taken_.clear();
    return out;
  }

  std::unique_ptr<Backend> backend_;
  std::vector<Tensor> taken_;
};

reference::Values expected_of(const AttentionCase& c, const AttentionStep& step) {
  Memory memory;
  const KvLayer layer{
      .keys = {}, .values = {}, .kv_heads = c.kv_heads, .head_dim = c.dim, .block_tokens = block_tokens};
  reference::KvValues kv;
  step.store_past(memory, layer, [&](const RopeStore& op) { reference::rope_store(op, kv); });
  reference::rope_store(step.store_fresh(memory, layer), kv);
  PagedAttention op = step.attention(memory, layer);
  for (float& v : op.q.values<float>()) v = to_float(from_float<bf16>(v));
  return reference::paged_attention(op, kv);
}

TEST(KvLayout, EveryElementHasAPlaceOfItsOwn) {
  for (const int dim : {16, 80, 512}) {
    std::vector<int> keys(size_t(dim * 16)), values(keys.size());
    for (int token = 0; token < 16; ++token)
      for (int d = 0; d < dim; ++d)
        ++keys.at(size_t(cuda::key_at(token, d))), ++values.at(size_t(cuda::value_at(token, d)));
    EXPECT_EQ(keys, std::vector<int>(keys.size(), 1)) << dim;
    EXPECT_EQ(values, std::vector<int>(keys.size(), 1)) << dim;
  }
}

TEST_F(CudaAttention, EveryCase) {
  for (const AttentionCase& c : all_cases()) {
    SCOPED_TRACE(c.why);
    const AttentionStep step(c, all_parts(c), 7);
    const std::vector<float> out = attend(c, step);
    EXPECT_LE(relative_l2(out, expected_of(c, step)), 2.5e-3);  // weights are rounded to bf16
    std::vector<float> rounded = attend(c, step, DType::bf16);
    bool same = rounded.size() == out.size();
    for (size_t i = 0; same && i < out.size(); ++i) same = rounded[i] == to_float(from_float<bf16>(out[i]));
    EXPECT_TRUE(same) << "q and out in bf16";
  }
}

TEST_F(CudaAttention, ATokenIsTheSameInAnyStep) {
  Random random(11);
  for (const AttentionCase& c : all_cases()) {
    SCOPED_TRACE(c.why);
    const int64_t row_size = c.heads * c.dim;
    const std::vector<float> whole = attend(c, AttentionStep(c, all_parts(c), 7));
    int64_t longest = 0;
    for (const RowOfTokens& r : c.rows) longest = std::max(longest, r.past + r.fresh);
    for (int step_number = 0; step_number < 8; ++step_number) {
      // Of every row, or of one, some tokens from anywhere: one, or a few, or a chunk.
      std::vector<AttentionStep::Part> parts;
      std::vector<int64_t> begins;  // of the parts' tokens in `whole`
      int64_t first = 0;
      for (size_t r = 0; r < c.rows.size(); ++r) {
        const RowOfTokens& row = c.rows[r];
        const int64_t wanted[] = {1, 1, 2, 4, 5, 16, 33, 200};
        const int64_t n = std::min(wanted[random.below(8)], row.fresh), skipped = random.below(row.fresh - n + 1);
        if (step_number < 5 || int64_t(r) == step_number % int64_t(c.rows.size())) {
          parts.push_back({r, row.past + skipped, n});
          begins.push_back(first + skipped);
        }
        first += row.fresh;
      }
      const std::vector<float> out = attend(c, AttentionStep(c, parts, uint32_t(step_number)), DType::f32,
                                            step_number % 2 == 0 ? longest : 0);
      auto at = out.begin();
      for (size_t i = 0; i < parts.size(); ++i) {
        const int64_t n = parts[i].fresh * row_size;
        EXPECT_TRUE(same_bits({at, at + n}, {whole.begin() + begins[i] * row_size, size_t(n)}))
            << "row " << parts[i].row << ", " << parts[i].fresh << " tokens after " << parts[i].past
            << ", step of " << parts.size() << " rows";
        at += n;
      }
    }
  }
}

}  // namespace
}  // namespace chorus::test
