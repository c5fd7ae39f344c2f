// The products of a gpt-oss-20b layer and its lm_head on a CUDA device, through the ops: time, the weights' bytes
// per second and the multiply-adds per second, for batches and for prefill chunks.   cuda_products [tokens...]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "backend/cuda/cuda.h"
#include "ops/backend.h"

namespace chorus {
namespace {

using Clock = std::chrono::steady_clock;

class Bench {
 public:
  explicit Bench(int64_t most_tokens) : backend_(cuda::make_backend("cuda", 16)) {
    workspace_ = backend_->allocate(DType::u8, {int64_t(1) << 32});
    backend_->use_workspace(Arena(workspace_.raw(), workspace_.bytes()));
    x_ = random_inputs(most_tokens, 4096);
    out_ = backend_->allocate(DType::f32, {most_tokens * 5120});
    for (int i = 0; i < 2; ++i) {  // more than the cache holds
      qkv_.push_back(linear(5120, 2880));
      o_.push_back(linear(2880, 4096));
      gate_.push_back(experts());
      up_.push_back(experts());
      down_.push_back(experts());
    }
    head_ = linear(201088, 2880);
  }

  void run(int64_t tokens) {
    const auto dense = [&](const Linear& w, int64_t rows) {
      backend_->run(MatMul{.x = part(x_, rows, w.inputs()), .linear = w, .out = part(out_, rows, w.outputs())});
    };
    report("qkv", tokens, qkv_[0].weight, 1, [&](int i) { dense(qkv_[size_t(i % 2)], tokens); });
    report("o", tokens, o_[0].weight, 1, [&](int i) { dense(o_[size_t(i % 2)], tokens); });
    if (tokens <= 256) {
      head_out_ = head_out_.empty() ? backend_->allocate(DType::f32, {256 * int64_t(201088)}) : head_out_;
      report("lm_head", tokens, head_.weight, 1, [&](int) {
        backend_->run(
            MatMul{.x = part(x_, tokens, 2880), .linear = head_, .out = part(head_out_, tokens, 201088)});
      });
    }
    const auto routed = routing(tokens);
    report(
        "experts", tokens, gate_[0].weight, 3,
        [&](int i) {
          backend_->run(ExpertMlp{.x = part(x_, tokens, 2880),
                                  .experts = routed.experts,
                                  .weights = routed.weights,
                                  .gate = gate_[size_t(i % 2)],
                                  .up = up_[size_t(i % 2)],
                                  .down = down_[size_t(i % 2)],
                                  .activation = {},
                                  .out = part(out_, tokens, 2880)});
        },
        routed.distinct, tokens * 4);
  }

 private:
  struct Routed {
    Tensor experts, weights;
    int64_t distinct;
  };

  static Tensor part(const Tensor& of, int64_t rows, int64_t columns) {
    return {of.dtype(), {rows, columns}, of.raw()};
  }

  Tensor random_inputs(int64_t rows, int64_t columns) {
    std::vector<bf16> values(static_cast<size_t>(rows * columns));
    for (auto& v : values) v = from_float<bf16>(std::normal_distribution<float>()(random_));
    const Tensor t = backend_->allocate(DType::bf16, {rows, columns});
    backend_->upload(t, values.data(), t.bytes());
    return t;
  }

  void fill(std::vector<uint8_t>& bytes) {
    for (size_t i = 0; i < bytes.size(); i += 8) {
      const uint64_t v = random_();
      std::memcpy(&bytes[i], &v, 8);
    }
  }

  Matrix matrix(Coding coding, int bits, int group, int64_t matrices, int64_t rows, int64_t columns) {
    const int64_t groups = matrices * rows * columns / group;
    codes_.resize(size_t(matrices * rows * columns * bits / 8));
    if (codes_.size() > filled_) fill(codes_), filled_ = codes_.size();
    Matrix m{.coding = coding,
             .layout = Layout::rows,
             .bits = bits,
             .group_size = group,
             .matrices = matrices,
             .rows = rows,
             .columns = columns,
             .data = Tensor(DType::u8, {matrices * rows, columns * bits / 8}, codes_.data()),
             .scales = {},
             .quant_biases = {}};
    if (coding == Coding::mxfp4) {
      scales_.assign(size_t(groups), 121);
      m.scales = Tensor(DType::u8, {matrices * rows, columns / group}, scales_.data());
      return m;
    }
    wide_.assign(size_t(groups), from_float<bf16>(0.001f));
    biases_.assign(size_t(groups), from_float<bf16>(-0.128f));
    m.scales = Tensor(DType::bf16, {matrices * rows, columns / group}, wide_.data());
    m.quant_biases = Tensor(DType::bf16, {matrices * rows, columns / group}, biases_.data());
    return m;
  }
  Linear linear(int64_t rows, int64_t columns) {
    const Linear l{.weight = matrix(Coding::affine, 8, 64, 1, rows, columns), .bias = {}};
    return backend_->place(std::span(&l, 1));
  }
  ExpertLinear experts() {
    return backend_->place(ExpertLinear{.weight = matrix(Coding::mxfp4, 4, 32, 32, 2880, 2880), .bias = {}});
  }
  Routed routing(int64_t tokens) {
    std::vector<int32_t> ids;
    std::vector<bool> hit(32);
    std::mt19937_64 same(7);  // so that runs, and versions, can be compared
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<int32_t> all(32);
      for (int32_t e = 0; e < 32; ++e) all[size_t(e)] = e;
      std::shuffle(all.begin(), all.end(), same);
      for (size_t j = 0; j < 4; ++j) ids.push_back(all[j]), hit[size_t(all[j])] = true;
    }
    const std::vector<float> weights(ids.size(), 0.25f);
    Routed r{.experts = backend_->allocate(DType::i32, {tokens, 4}),
             .weights = backend_->allocate(DType::f32, {tokens, 4}),
             .distinct = std::count(hit.begin(), hit.end(), true)};
    backend_->upload(r.experts, ids.data(), r.experts.bytes());
    backend_->upload(r.weights, weights.data(), r.weights.bytes());
    return r;
  }

  void report(const char* name, int64_t tokens, const Matrix& m, int64_t of_them,
              const std::function<void(int)>& call, int64_t matrices = 1, int64_t rows = 0) {
    const Arena::Scope scope(backend_->workspace());
    const auto wait = [&] { backend_->download(nullptr, out_, 0); };
    for (int i = 0; i < 4; ++i) call(i);
    wait();
    std::vector<double> rounds;
    const int repeats = tokens > 512 ? 4 : 20;
    for (int round = 0; round < 5; ++round) {
      const Clock::time_point begin = Clock::now();
      for (int i = 0; i < repeats; ++i) call(i);
      wait();
      rounds.push_back(std::chrono::duration<double>(Clock::now() - begin).count() / repeats);
    }
    std::nth_element(rounds.begin(), rounds.begin() + 2, rounds.end());
    const double s = rounds[2], bytes = double(m.bytes()) / double(m.matrices) * double(matrices * of_them);
    const double macs = double(m.rows * m.columns * of_them) * double(rows > 0 ? rows : tokens);
    fmt::print("{:>6} {:<8} {:9.1f} us {:8.0f} GB/s {:8.1f} TMAC/s\n", tokens, name, s * 1e6, bytes / s / 1e9,
               macs / s / 1e12);
    std::fflush(stdout);
  }

  std::unique_ptr<Backend> backend_;
  std::mt19937_64 random_{1};
  std::vector<uint8_t> codes_, scales_;
  std::vector<bf16> wide_, biases_;
  size_t filled_ = 0;
  Tensor workspace_, x_, out_, head_out_;
  std::vector<Linear> qkv_, o_;
  std::vector<ExpertLinear> gate_, up_, down_;
  Linear head_;
};

}  // namespace
}  // namespace chorus

int main(int argc, char** argv) {
  std::vector<int64_t> tokens;
  for (int i = 1; i < argc; ++i) tokens.push_back(std::atoll(argv[i]));
  if (tokens.empty()) tokens = {1, 8, 29, 101, 256, 2048, 7168};
  chorus::Bench bench(*std::max_element(tokens.begin(), tokens.end()));
  for (const int64_t t : tokens) bench.run(t);
}
