// How far from `exact` the CPU's `fast` precision is on a model folder, and, for comparison, how far a run is that
// rounds to bf16 between the ops, as MLX does: relative L2 of the residual stream before every norm, mean KL
// divergence and mean difference of the logits, agreement of the likeliest token.
//     precision_report FOLDER [TOKENS]     how many random ones, or their ids after a comma: ,12,7
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

#include "backend/cpu/cpu_backend.h"
#include "chorus/error.h"
#include "engine/model_state.h"
#include "model/model.h"

namespace chorus {
namespace {

enum class Between { f32, bf16 };  // what results of ops are rounded to

/// Keeps what every norm gets to see: the residual stream, twice per layer and once at the end.
class RecordingBackend final : public cpu::CpuBackend {
 public:
  RecordingBackend(cpu::Precision precision, Between between) : CpuBackend(precision, 0), between_(between) {}
  using CpuBackend::run;
  void run(const RmsNorm& op) override {
    if (!workspace().measuring()) {
      if (norm_ == norms.size()) norms.emplace_back();
      const std::span<const float> x = op.x.values<float>();
      norms[norm_].insert(norms[norm_].end(), x.begin(), x.end());
      ++norm_;
    }
    run_rounded(op);
  }
  void run(const Embedding& op) override { run_rounded(op); }
  void run(const MatMul& op) override { run_and_add(op); }
  void run(const RopeStore& op) override { run_rounded(op); }
  void run(const PagedAttention& op) override { run_rounded(op); }
  void run(const ExpertMlp& op) override {
    ExpertMlp sum = op;
    sum.next_norm = {};
    run_and_add(sum);  // which is rounded before it is normed
    if (op.next_norm.empty()) return;
    run(RmsNorm{.x = op.out, .weight = op.next_norm, .eps = op.eps, .out = op.next_normed});
  }
  void next_pass() { norm_ = 0; }

  std::vector<std::vector<float>> norms;  // [norm][tokens * hidden]

 private:
  template <typename Op>
  void run_rounded(const Op& op) {
    CpuBackend::run(op);
    if (between_ == Between::f32 || workspace().measuring()) return;
    for (float& v : op.out.template values<float>()) v = rounded(v);
  }
  /// The sum with the residual is an op of its own there.
  template <typename Op>
  void run_and_add(Op op) {
    if (between_ == Between::f32 || workspace().measuring() || op.residual.empty()) return run_rounded(op);
    const std::span<const float> residual = op.residual.template values<float>();
    const std::vector<float> before(residual.begin(), residual.end());
    op.residual = {};
    run_rounded(op);
    for (size_t i = 0; float& v : op.out.template values<float>()) v = rounded(before[i++] + v);
  }
  static float rounded(float v) { return to_float(from_float<bf16>(v)); }

  Between between_;
  size_t norm_ = 0;
};

struct Recorded {
  std::vector<std::vector<float>> norms;
  Logits logits;
};

Recorded record(const std::string& folder, cpu::Precision precision, Between between,
                std::span<const int32_t> ids) {
  auto state = std::make_shared<Model::State>(Weights::open(folder));
  auto backend = std::make_unique<RecordingBackend>(precision, between);
  RecordingBackend& recorder = *backend;
  state->memory_bytes = uint64_t(1) << 62;
  state->backend = std::move(backend);
  state->network = load_model(state->weights, *state->backend);
  const Model model(state);
  PromptCache cache = make_prompt_cache(model, int64_t(ids.size()));
  Logits logits{.tokens = int64_t(ids.size()), .vocabulary = model.vocabulary(), .values = {}};
  for (size_t i = 0; i < ids.size(); i += PromptCache::State::max_chunk) {
    const size_t n = std::min(ids.size() - i, size_t(PromptCache::State::max_chunk));
    recorder.next_pass();
    const Logits part = model(ids.subspan(i, n), cache);
    logits.values.insert(logits.values.end(), part.values.begin(), part.values.end());
  }
  return {.norms = std::move(recorder.norms), .logits = std::move(logits)};
}

double relative_l2(const std::vector<float>& a, const std::vector<float>& reference) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (double(a[i]) - reference[i]) * (double(a[i]) - reference[i]);
    size += double(reference[i]) * reference[i];
  }
  return std::sqrt(difference / size);
}

double mean_difference(const std::vector<float>& a, const std::vector<float>& reference) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double(a[i]) - reference[i]);
  return sum / double(a.size());
}

std::vector<double> log_softmax(std::span<const float> logits) {
  const double top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float v : logits) sum += std::exp(v - top);
  std::vector<double> out;
  for (const float v : logits) out.push_back(v - top - std::log(sum));
  return out;
}

void compare(const char* what, const Recorded& run, const Recorded& exact) {
  fmt::print("\n{} against exact\n  residual stream before each norm, relative L2:", what);
  for (size_t n = 0; n < exact.norms.size(); ++n)
    fmt::print("{}{:.2e}", n % 10 == 0 ? "\n    " : "  ", relative_l2(run.norms[n], exact.norms[n]));
  double kl = 0, worst_gap = 0;
  int64_t same = 0;
  const int64_t tokens = exact.logits.tokens;
  for (int64_t t = 0; t < tokens; ++t) {
    const std::vector<double> p = log_softmax(exact.logits.row(t)), q = log_softmax(run.logits.row(t));
    for (size_t v = 0; v < p.size(); ++v) kl += std::exp(p[v]) * (p[v] - q[v]) / double(tokens);
    const auto likeliest = std::ranges::max_element(p) - p.begin(), ours = std::ranges::max_element(q) - q.begin();
    same += likeliest == ours;
    worst_gap = std::max(worst_gap, p[size_t(likeliest)] - p[size_t(ours)]);
  }
  fmt::print(
      "\n  logits: relative L2 {:.2e}, mean |difference| {:.3f}, mean KL {:.2e}; the same likeliest token "
      "{:.1f} %, where not, at most {:.3f} nats apart\n",
      relative_l2(run.logits.values, exact.logits.values),
      mean_difference(run.logits.values, exact.logits.values), kl, 100 * double(same) / double(tokens), worst_gap);
}

std::vector<int32_t> tokens_of(const std::string& folder, const std::string& text) {
  std::vector<int32_t> ids;
  if (text.starts_with(',')) {
    for (const char* at = text.c_str(); *at == ',';) {
      char* end = nullptr;
      ids.push_back(int32_t(std::strtol(at + 1, &end, 10)));
      at = end;
    }
    return ids;
  }
  const auto vocabulary = Weights::open(folder).config().at("vocab_size").get<uint64_t>();
  std::mt19937 random(1);
  for (int64_t i = std::atoll(text.c_str()); i > 0; --i) ids.push_back(int32_t(random() % vocabulary));
  return ids;
}

void report(const std::string& folder, const std::string& tokens) {
  const std::vector<int32_t> ids = tokens_of(folder, tokens);
  fmt::print("{}, {} tokens\n", folder, ids.size());
  const Recorded exact = record(folder, cpu::Precision::exact, Between::f32, ids);
  compare("fast", record(folder, cpu::Precision::fast, Between::f32, ids), exact);
  compare("bf16 between the ops", record(folder, cpu::Precision::exact, Between::bf16, ids), exact);
}

}  // namespace
}  // namespace chorus

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: precision_report FOLDER [TOKENS | ,ID,ID...]\n");
    return 2;
  }
  try {
    chorus::report(argv[1], argc > 2 ? argv[2] : "256");
  } catch (const chorus::Error& e) {
    fmt::print(stderr, "precision_report: {}\n", e.what());
    return 1;
  }
}
