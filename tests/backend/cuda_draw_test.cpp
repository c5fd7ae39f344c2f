// Drawing tokens on a device: against the reference and the host's sampler, and alone as in a batch. Without a
// device they are skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cuda/cuda.h"
#include "ops/reference/draw.h"
#include "sampler/draw_cases.h"
#include "sampler/sampler.h"

namespace chorus::test {
namespace {

class CudaDraw : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0)
      GTEST_SKIP() << "SKIPPED: no CUDA device here, or no CUDA backend in this build";
    backend_ = cuda::make_backend("cuda", 2);
  }

  Tensor up(const Tensor& host) {
    const Tensor t = backend_->allocate(host.dtype(), host.shape());
    backend_->upload(t, host.raw(), host.bytes());
    return t;
  }

  std::vector<Drawn> draw(const Tensor& logits, std::span<const sampler::DrawRequest> requests) {
    sampler::DrawPlan plan(logits.size(1), int64_t(requests.size()));
    plan.make(requests);
    const auto structs = [&](auto values) {
      const Tensor t = backend_->allocate(DType::u8, {int64_t(values.size()), int64_t(sizeof(values[0]))});
      backend_->upload(t, values.data(), values.size_bytes());
      return t;
    };
    const auto rows = int64_t(requests.size());
    const Tensor out = backend_->allocate_on_host(DType::u8, {rows, int64_t(sizeof(Drawn))});
    Draw op{.logits = up(logits), .rows = structs(plan.rows()), .changes = structs(plan.changes()), .out = out};
    check(op);
    backend_->use_workspace(Arena());
    backend_->run(op);
    const size_t bytes = backend_->workspace().peak();
    const Tensor memory = backend_->allocate(DType::u8, {int64_t(bytes)});
    backend_->use_workspace(Arena(memory.raw(), bytes));
    backend_->run(op);
    backend_->synchronize();
    std::vector<Drawn> drawn(requests.size());
    std::memcpy(drawn.data(), out.raw(), drawn.size() * sizeof(Drawn));
    for (const Tensor& t : {op.logits, op.rows, op.changes, out, memory}) backend_->release(t);
    return drawn;
  }

  Memory memory_;
  Random random_{5};
  std::unique_ptr<Backend> backend_;
};

struct Size {
  const char* why;
  int64_t vocabulary;
  int rounds;
  float spread;
};
const Size sizes[] = {
    {"under_a_chunk", 1000, 20, 2}, {"a_chunk", 4096, 3, 3},         {"a_chunk_and_a_token", 4097, 3, 3},
    {"gpt_oss", 201088, 3, 3},      {"nearly_flat", 50000, 3, 0.1f}, {"peaked", 50000, 3, 20},
};

class CudaDraws : public CudaDraw, public testing::WithParamInterface<Size> {};

TEST_P(CudaDraws, WhatTheReferenceDrawsAloneAsInABatch) {
  const Size size = GetParam();
  SCOPED_TRACE(size.why);
  const DrawBatch batch(memory_, random_, size.vocabulary, size.rounds, size.spread);
  sampler::DrawPlan plan(size.vocabulary, int64_t(batch.requests.size()));
  plan.make(batch.requests);
  const Draw op = host_draw(batch, plan);
  sampler::Scratch scratch(size.vocabulary);
  const std::vector<Drawn> drawn = draw(batch.logits, batch.requests);
  int undecided = 0, other_than_sampler = 0;
  for (size_t r = 0; r < drawn.size(); ++r) {
    SCOPED_TRACE(batch.cases[r % batch.cases.size()].why);
    const sampler::DrawRequest& q = batch.requests[r];
    ASSERT_NE(drawn[r].status, DrawStatus::not_finite);
    if (drawn[r].status == DrawStatus::undecided) {
      ++undecided;
      continue;
    }
    const reference::Shares shares = reference::draw(op, int64_t(r));
    const int32_t id = drawn[r].token_id;
    EXPECT_TRUE(shares.may_be(id, plan.rows()[r].uniform, 1e-5)) << "row " << r << ", token " << id;
    const auto at = std::find(shares.ids.begin(), shares.ids.end(), id) - shares.ids.begin();
    ASSERT_LT(at, int64_t(shares.ids.size()));
    if (q.params->logprobs) {
      EXPECT_NEAR(drawn[r].logprob, shares.logprobs[size_t(at)], 1e-4);
    }
    const auto row = batch.logits.row<float>(q.logits);
    std::vector<float> logits(row.begin(), row.end());
    other_than_sampler +=
        id != sampler::sample(logits, *q.params, q.tokens, q.row_key, int64_t(q.tokens.size()), scratch).token_id;
    if (r % 5 != 0) continue;
    sampler::DrawRequest alone = q;
    alone.logits = 0;
    const Drawn again = draw(batch.logits.rows(q.logits, q.logits + 1), {&alone, 1})[0];
    EXPECT_EQ(again.token_id, id);
    EXPECT_EQ(std::memcmp(&again.logprob, &drawn[r].logprob, sizeof(float)), 0);
  }
  EXPECT_EQ(undecided, 0);
  EXPECT_LE(other_than_sampler, int(drawn.size()) / 20) << "near ties";
  std::printf("%s: %zu rows, %d other than the sampler's\n", size.why, drawn.size(), other_than_sampler);
}

INSTANTIATE_TEST_SUITE_P(Sizes, CudaDraws, testing::ValuesIn(sizes),
                         [](const auto& param) { return std::string(param.param.why); });

TEST_F(CudaDraw, LogitsThatAreNotFiniteAreTold) {
  const SamplingParams greedy, drawing{.temperature = 1, .top_p = 0.9};
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Tensor logits = memory_.make(DType::f32, {4, 5000});
  for (float& v : logits.values<float>()) v = 0.f;
  logits.row<float>(0)[4999] = nan;
  logits.row<float>(1)[17] = infinity;
  for (float& v : logits.row<float>(2)) v = -infinity;
  logits.row<float>(3)[4321] = 1;
  for (const SamplingParams* p : {&greedy, &drawing}) {
    std::vector<sampler::DrawRequest> requests;
    for (int32_t r = 0; r < 4; ++r) requests.push_back({.params = p, .tokens = {}, .row_key = 0, .logits = r});
    const std::vector<Drawn> drawn = draw(logits, requests);
    for (size_t r = 0; r < 3; ++r) EXPECT_EQ(drawn[r].status, DrawStatus::not_finite) << r;
    EXPECT_TRUE(std::isnan(drawn[0].logprob));
    EXPECT_EQ(drawn[1].logprob, infinity);
    EXPECT_EQ(drawn[2].logprob, -infinity);
    if (p == &greedy) {
      EXPECT_EQ(drawn[3].status, DrawStatus::drawn);
      EXPECT_EQ(drawn[3].token_id, 4321);
    } else {
      EXPECT_EQ(drawn[3].status, DrawStatus::undecided) << "4,999 equals: the host orders them";
    }
  }
}

TEST_F(CudaDraw, SpeedAtTheSizeOfGptOss) {
  for (const int64_t rows : {1, 101}) {
    const Tensor host = random_.normals(memory_, {rows, 201088});
    for (float& v : host.values<float>()) v *= 3;
    const Tensor logits = up(host);
    for (const DrawCase& c : draw_cases()) {
      if (std::string_view(c.why) != "greedy" && std::string_view(c.why) != "temperature" &&
          std::string_view(c.why) != "top_p" && std::string_view(c.why) != "top_k" &&
          std::string_view(c.why) != "all of them")
        continue;
      SamplingParams params = c.params;
      params.logprobs = false;
      std::vector<sampler::DrawRequest> requests;
      for (int32_t r = 0; r < rows; ++r)
        requests.push_back({.params = &params, .tokens = {}, .row_key = uint64_t(r), .logits = r});
      sampler::DrawPlan plan(201088, rows);
      plan.make(requests);
      const Tensor on_device = backend_->allocate(DType::u8, {rows, int64_t(sizeof(DrawRow))});
      backend_->upload(on_device, plan.rows().data(), plan.rows().size_bytes());
      const Draw op{.logits = logits,
                    .rows = on_device,
                    .changes = Tensor(DType::u8, {0, int64_t(sizeof(LogitChange))}, nullptr),
                    .out = backend_->allocate_on_host(DType::u8, {rows, int64_t(sizeof(Drawn))})};
      const Tensor memory = backend_->allocate(DType::u8, {1 << 20});
      backend_->use_workspace(Arena(memory.raw(), memory.bytes()));
      double best = 1;
      for (int i = 0; i < 10; ++i) best = std::min(best, backend_->seconds_of([&] { backend_->run(op); }));
      std::printf("draw, %d rows, %s: %.1f us\n", int(rows), c.why, best * 1e6);
      for (const Tensor& t : {on_device, op.out, memory}) backend_->release(t);
    }
    backend_->release(logits);
  }
}

}  // namespace
}  // namespace chorus::test
