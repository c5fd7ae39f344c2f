// The engine on a backend that draws tokens itself, whose next step is under way before the rows are told of the last
// one's: here the CPU's, drawing as the reference does, and leaving some rows to the host.
#include <gtest/gtest.h>

#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "engine/model_state.h"
#include "engine/row_rule.h"
#include "golden/golden_model.h"
#include "ops/reference/draw.h"

namespace chorus::test {
namespace {

class DrawingCpu : public cpu::CpuBackend {
 public:
  DrawingCpu() : CpuBackend(cpu::Precision::exact, 2) {}

  bool draws() const override { return true; }
  using CpuBackend::run;
  void run(const Draw& op) override {
    if (workspace().measuring()) return;
    const auto* const rows = static_cast<const DrawRow*>(op.rows.raw());
    auto* const out = static_cast<Drawn*>(op.out.raw());
    for (int64_t r = 0; r < op.rows.size(0); ++r) {
      const reference::Shares shares = reference::draw(op, r);
      size_t i = 0;
      while (i + 1 < shares.ids.size() && shares.ends[i] <= rows[r].uniform) ++i;
      change(op, rows[r]);
      // By its logits, so that a row's fate is its own: some are left to the host.
      const bool left = shares.ids.size() % 3 == 1 && shares.ids.size() > 1;
      out[r] = {.token_id = left ? -1 : shares.ids[i],
                .logprob = float(shares.logprobs[i]),
                .status = left ? DrawStatus::undecided : DrawStatus::drawn};
      left_to_host += left;
    }
  }

  int64_t left_to_host = 0;

 private:
  static void change(const Draw& op, const DrawRow& row) {
    const auto* const changes = static_cast<const LogitChange*>(op.changes.raw());
    for (int32_t c = row.changes_begin; c < row.changes_end; ++c) {
      float& x = op.logits.row<float>(row.logits)[size_t(changes[c].token_id)];
      x += changes[c].bias;
      if (changes[c].count == 0) continue;
      x = x < 0 ? x * row.repetition_penalty : x / row.repetition_penalty;
      x -= row.presence_penalty + row.frequency_penalty * float(changes[c].count);
    }
  }
};

Model load_drawing(const std::string& folder) {
  auto state = std::make_shared<Model::State>(Weights::open(folder));
  state->memory_bytes = uint64_t(1) << 30;
  state->backend = std::make_unique<DrawingCpu>();
  state->network = load_model(state->weights, *state->backend);
  state->eos_token_ids = load_model(folder, LoadOptions{.device = "cpu"}).eos_token_ids();
  return Model(std::move(state));
}

TEST(RunsOn, EveryRowGivesWhatItGivesAlone) {
  const golden::GoldenModel golden("tiny-gpt-oss-mxfp4-q8");
  ASSERT_TRUE(golden.exists());
  const Model model = load_drawing(golden.folder());
  expect_rows_of_their_own(model, 4);
  EXPECT_GT(static_cast<DrawingCpu&>(*model.state().backend).left_to_host, 0);
}

/// What a row says of itself, and the events that told of it.
struct Told {
  Result result;
  std::string text;
  TokenIds token_ids;
};

/// Rows with stop strings, stop tokens, limits; one is cancelled at its fifth token.
std::map<int64_t, Told> run_all(const Model& model, const Tokenizer& tokenizer) {
  Engine engine(model, tokenizer, {.max_rows = 5, .max_step_tokens = 32, .context = 256});
  const std::vector<std::vector<std::string>> stops = {{}, {"e"}, {"=", "is"}, {"1"}, {" "}, {"\n", "0"}};
  for (int i = 0; i < 18; ++i) {
    Request row{.id = std::to_string(i), .prompt = tokenizer.encode("What is 1" + std::to_string(i) + " + 2?"),
                .row_key = uint64_t(i)};
    row.stop = {.max_tokens = i == 11 ? 0 : 40, .stop = stops[size_t(i) % stops.size()]};
    if (i % 4 == 1) row.stop.stop_token_ids = {tokenizer.encode("a")[0], tokenizer.encode("2")[0]};
    if (i % 3 == 2) row.sampling = {.temperature = 1, .top_p = 0.9, .seed = 3};
    row.sampling.repetition_penalty = i % 5 == 0 ? 1.1 : 1;
    engine.add(std::move(row));
  }
  std::map<int64_t, Told> told;
  while (engine.step([&](const Event& event) {
    if (const auto* token = std::get_if<TokenEvent>(&event)) {
      told[token->row].text += token->text;
      told[token->row].token_ids.push_back(token->token_id);
      if (token->row == 6 && told[6].token_ids.size() == 5) engine.cancel(6);
    } else if (const auto* end = std::get_if<FinishedEvent>(&event)) {
      told[end->row].result = end->result;
    }
  })) {
  }
  int64_t tokens = 0;
  for (const auto& [row, t] : told) tokens += t.result.generated_tokens;
  EXPECT_EQ(engine.stats().generation_tokens, tokens) << "tokens after a stop string count nowhere";
  return told;
}

TEST(RunsOn, RowsEndWhereTheyEndOnABackendThatDoesNot) {
  const std::string folder = CHORUS_SOURCE_DIR "/models/demo";
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const auto expected = run_all(load_model(folder, {.device = "cpu", .precision = "exact"}), tokenizer);
  const auto actual = run_all(load_drawing(folder), tokenizer);
  ASSERT_EQ(actual.size(), expected.size());
  int by_text = 0, by_token = 0, by_length = 0;
  for (const auto& [row, e] : expected) {
    SCOPED_TRACE(row);
    const Told& a = actual.at(row);
    EXPECT_EQ(a.result.token_ids, e.result.token_ids);
    EXPECT_EQ(a.result.text, e.result.text);
    EXPECT_EQ(a.text, e.text);
    EXPECT_EQ(a.token_ids, e.token_ids);
    EXPECT_EQ(a.result.finish_reason, e.result.finish_reason);
    EXPECT_EQ(a.result.matched_stop, e.result.matched_stop);
    EXPECT_EQ(a.result.generated_tokens, e.result.generated_tokens);
    by_text += !a.result.matched_stop.empty();
    by_token += a.result.finish_reason == FinishReason::stop && a.result.matched_stop.empty();
    by_length += a.result.finish_reason == FinishReason::length;
  }
  EXPECT_GT(by_text, 0);
  EXPECT_GT(by_token, 0);
  EXPECT_GT(by_length, 0);
  EXPECT_EQ(actual.at(6).result.finish_reason, FinishReason::cancelled);
}

}  // namespace
}  // namespace chorus::test
