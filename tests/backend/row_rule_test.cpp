// A token's result is the same, bit for bit, alone and among any neighbours, with any number of threads.
#include "backend/attention_cases.h"

namespace chorus::test {
namespace {

/// Backends of one instruction set and precision with 1, 2, 3 and 5 threads.
template <typename F>
void for_each_kind(F&& body) {
  for (const cpu::Kernels* kernels : cpu::available_kernels())
    for (const Precision precision : {Precision::fast, Precision::exact}) {
      std::vector<std::unique_ptr<CpuBackend>> same;
      for (const int threads : {1, 2, 3, 5}) same.push_back(make_cpu(*kernels, precision, threads));
      SCOPED_TRACE(std::string(same[0]->name()));
      body(same);
    }
}

/// The slices of a step of 64 tokens that each backend computes: alone, few, many, at any place. Kernels know
/// nothing of threads, so more than one thread needs few slices: all of them with every number of threads take an
/// emulator hours.
struct Slice {
  int64_t begin, tokens;
};
std::vector<Slice> slices(int threads) {
  if (threads > 1) return {{0, 1}, {13, 1}, {31, 3}, {13, 17}, {0, 64}};
  std::vector<Slice> all;
  for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 17, 29, 33, 64})
    for (const int64_t begin : {int64_t(0), int64_t(13), 64 - tokens})
      if (begin + tokens <= 64) all.push_back({begin, tokens});
  return all;
}

/// `compute` makes [tokens, n] from the slice; every row must be that of the whole.
template <typename Compute>
void expect_rows_of_the_whole(const std::vector<std::unique_ptr<CpuBackend>>& same, Compute&& compute) {
  Memory memory;
  const Tensor whole = compute(*same[0], 0, Slice{0, 64}, memory);
  for (size_t b = 0; b < same.size(); ++b)
    for (const Slice& s : slices(same[b]->host_threads().size())) {
      Memory scratch;
      const Tensor part = compute(*same[b], b, s, scratch);
      ASSERT_TRUE(
          same_bits(part.values<float>(), whole.rows(s.begin, s.begin + s.tokens).template values<float>()))
          << s.tokens << " tokens from " << s.begin << ", " << same[b]->name();
    }
}

TEST(RowRule, MatMul) {
  for (const Coded& coded :
       {mxfp4, mxfp8, nvfp4, affine8, affine4, Coded{Coding::affine, 3, 32, DType::f32}, dense_bf16, dense_f32}) {
    SCOPED_TRACE(coded.name());
    Memory memory;
    Random random(1);
    const Linear linear = random_linear(memory, random, coded, 200, 320, true);
    const Tensor x = random.normals(memory, {64, linear.inputs()});
    for_each_kind([&](const auto& same) {
      std::vector<std::unique_ptr<Placed<Linear>>> placed;
      for (const auto& backend : same) placed.push_back(std::make_unique<Placed<Linear>>(*backend, linear));
      expect_rows_of_the_whole(same, [&](CpuBackend& backend, size_t b, Slice s, Memory& out) {
        const MatMul op{.x = x.rows(s.begin, s.begin + s.tokens),
                        .linear = placed[b]->linear,
                        .out = result(out, {s.tokens, linear.outputs()})};
        run(backend, op);
        return op.out;
      });
    });
  }
}

TEST(RowRule, ExpertMlp) {
  for (const Coded& coded : {mxfp4, affine8, affine4, dense_bf16}) {
    SCOPED_TRACE(coded.name());
    Memory memory;
    Random random(2);
    constexpr int64_t count = 8, hidden = 64, inner = 128, chosen = 4;
    ExpertMlp whole{.x = random.normals(memory, {64, hidden}),
                    .experts = memory.make(DType::i32, {64, chosen}),
                    .weights = random.normals(memory, {64, chosen}),
                    .gate = random_experts(memory, random, coded, count, inner, hidden, true),
                    .up = random_experts(memory, random, coded, count, inner, hidden, true),
                    .down = random_experts(memory, random, coded, count, hidden, inner, true),
                    .activation = {},
                    .out = {},
                    .next_norm = random.normals(memory, {hidden}),
                    .eps = 1e-5f};
    for (int64_t t = 0; t < 64; ++t) {
      std::vector<int32_t> ids = {0, 1, 2, 3, 4, 5, 6, 7};
      random.shuffle(ids);
      if (t % 2 == 0) std::swap(ids[0], *std::find(ids.begin(), ids.end(), 5));  // expert 5 has most tokens
      std::copy_n(ids.begin(), chosen, whole.experts.row<int32_t>(t).begin());
    }
    for_each_kind([&](const auto& same) {
      std::vector<std::array<std::unique_ptr<Placed<ExpertLinear>>, 3>> placed;
      for (const auto& backend : same)
        placed.push_back({std::make_unique<Placed<ExpertLinear>>(*backend, whole.gate),
                          std::make_unique<Placed<ExpertLinear>>(*backend, whole.up),
                          std::make_unique<Placed<ExpertLinear>>(*backend, whole.down)});
      expect_rows_of_the_whole(same, [&](CpuBackend& backend, size_t b, Slice s, Memory& out) {
        ExpertMlp op = whole;
        const int64_t end = s.begin + s.tokens;
        op.x = whole.x.rows(s.begin, end);
        op.experts = whole.experts.rows(s.begin, end);
        op.weights = whole.weights.rows(s.begin, end);
        op.gate = placed[b][0]->linear;
        op.up = placed[b][1]->linear;
        op.down = placed[b][2]->linear;
        op.out = result(out, {s.tokens, hidden});
        op.next_normed = result(out, {s.tokens, hidden});
        run(backend, op);
        const Tensor all = out.make(DType::f32, {s.tokens, 2, hidden});
        for (int64_t t = 0; t < s.tokens; ++t) {
          std::copy_n(op.out.row<float>(t).data(), hidden, all.row<float>(t).data());
          std::copy_n(op.next_normed.row<float>(t).data(), hidden, all.row<float>(t).data() + hidden);
        }
        return all;
      });
    });
  }
}

TEST(RowRule, OpsBetweenTheMatrices) {
  Memory memory;
  Random random(3);
  const Tensor x = random.normals(memory, {64, 100}), weight = random.normals(memory, {100});
  const Tensor positions = memory.make(DType::i32, {64}), slots = memory.make(DType::i32, {64});
  const Linear router = random_linear(memory, random, dense_bf16, 32, 100, true);
  for (int32_t t = 0; t < 64; ++t) positions.data<int32_t>()[t] = t * 37 % 5000;
  const Tensor frequencies = memory.copy(std::vector<float>{1, 0.5f, 0.01f, 3e-5f, 1e-6f}, {5});
  for_each_kind([&](const auto& same) {
    std::vector<std::unique_ptr<Placed<Linear>>> routers;
    for (const auto& backend : same) routers.push_back(std::make_unique<Placed<Linear>>(*backend, router));
    expect_rows_of_the_whole(same, [&](CpuBackend& backend, size_t b, Slice s, Memory& out) {
      const int64_t end = s.begin + s.tokens;
      const RmsNorm norm{
          .x = x.rows(s.begin, end), .weight = weight, .eps = 1e-5f, .out = result(out, {s.tokens, 100})};
      run(backend, norm);
      const RopeAngles angles{.positions = positions.rows(s.begin, end),
                              .frequencies = frequencies,
                              .scale = 1.3f,
                              .out = result(out, {s.tokens, 2, 5})};
      run(backend, angles);
      RopeStore rope = rotate_op(norm.out.view({s.tokens, 10, 10}), angles.out, slots.rows(s.begin, end));
      rope.out = result(out, {s.tokens, 10, 10});
      run(backend, rope);
      const Routing routing{.x = x.rows(s.begin, end),
                            .norm = weight,
                            .eps = 1e-5f,
                            .router = routers[b]->linear,
                            .normed = result(out, {s.tokens, 100}),
                            .experts = out.make(DType::i32, {s.tokens, 4}),
                            .weights = result(out, {s.tokens, 4})};
      run(backend, routing);
      // One tensor with all of it.
      const Tensor all = out.make(DType::f32, {s.tokens, 108});
      for (int64_t t = 0; t < s.tokens; ++t) {
        float* row = all.row<float>(t).data();
        std::copy_n(rope.out.row<float>(t).data(), 100, row);
        std::copy_n(routing.weights.row<float>(t).data(), 4, row + 100);
        std::copy_n(routing.experts.row<int32_t>(t).data(), 4, row + 104);
      }
      return all;
    });
  });
}

/// The row alone, its new tokens in chunks of `chunk`, in other blocks.
std::vector<float> row_in_chunks(CpuBackend& backend, const AttentionCase& c, size_t row, int64_t chunk) {
  std::vector<float> out;
  const auto [past, fresh] = c.rows[row];
  for (int64_t done = 0; done < fresh; done += chunk) {
    Memory memory;
    const AttentionStep step(c, {{row, past + done, std::min(chunk, fresh - done)}}, uint32_t(done + chunk));
    const Tensor part = attend(backend, memory, c, step);
    out.insert(out.end(), part.values<float>().begin(), part.values<float>().end());
  }
  return out;
}

TEST(RowRule, PagedAttentionAmongOtherRowsAndInAnyChunks) {
  for_each_kind([&](const auto& same) {
    for (const AttentionCase& c : attention_cases) {
      SCOPED_TRACE(c.why);
      Memory memory;
      const Tensor whole = attend(*same[0], memory, c, AttentionStep(c, all_parts(c), 7));
      for (const auto& backend : same) {
        Memory scratch;
        EXPECT_TRUE(
            same_bits(attend(*backend, scratch, c, AttentionStep(c, all_parts(c), 8)).template values<float>(),
                      whole.values<float>()))
            << backend->name();
      }
      int64_t first = 0;
      for (size_t r = 0; r < c.rows.size(); ++r) {
        const Tensor ours = whole.rows(first, first + c.rows[r].fresh);
        first += c.rows[r].fresh;
        for (const int64_t chunk : {int64_t(1), int64_t(7), int64_t(64)}) {
          if (chunk > 1 && c.rows[r].fresh == 1) continue;
          EXPECT_TRUE(same_bits(row_in_chunks(*same[0], c, r, chunk), ours.values<float>()))
              << "row " << r << " in chunks of " << chunk;
        }
      }
    }
  });
}

}  // namespace
}  // namespace chorus::test
