// Attention of gpt-oss-20b's shape on a CUDA device, through the op: time, the bytes of keys and values per second
// for decode steps, the useful operations per second for prefill chunks.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "backend/cuda/cuda.h"
#include "ops/backend.h"

namespace chorus {
namespace {

constexpr int64_t heads = 64, kv_heads = 8, dim = 64, block_tokens = 16, sliding = 128;
constexpr int64_t cache_bytes = int64_t(50) << 20;  // of the device

struct Row {
  int64_t past, fresh;
};

class Bench {
 public:
  Bench() : backend_(cuda::make_backend("cuda", 1)) {
    workspace_ = backend_->allocate(DType::u8, {int64_t(256) << 20});
    backend_->use_workspace(Arena(workspace_.raw(), workspace_.bytes()));
    std::mt19937 random(1);
    std::vector<float> values(size_t(most_tokens * heads * dim));
    for (float& v : values) v = std::normal_distribution<float>()(random);
    q_ = upload(DType::f32, {most_tokens, heads, dim}, values);
    out_ = backend_->allocate(DType::f32, q_.shape());
    values.resize(heads);
    sinks_ = upload(DType::f32, {heads}, values);
    const Backend::Bandwidth b = backend_->measure_bandwidth();
    copy_ = b.copy;
    fmt::print("{}: copy {:.2f} TB/s, read {:.2f} TB/s\n", backend_->name(), b.copy / 1e12, b.read / 1e12);
  }

  void run(const std::string& name, const std::vector<Row>& rows, int64_t window) {
    int64_t tokens = 0, blocks = 0, stride = 0, longest = 0;
    double keys = 0, seen = 0;  // in the cache that are read, and over all queries
    for (const Row& r : rows) {
      const int64_t length = r.past + r.fresh;
      tokens += r.fresh, blocks += (length + block_tokens - 1) / block_tokens;
      longest = std::max(longest, length);
      const int64_t first = window > 0 ? std::max<int64_t>(0, r.past + 1 - window) : 0;
      keys += double(length - first);
      for (int64_t p = r.past; p < length; ++p) seen += double(window > 0 ? std::min(p + 1, window) : p + 1);
    }
    stride = (longest + block_tokens - 1) / block_tokens;
    std::vector<int32_t> positions, row_of_token, first_block(rows.size(), 0), order(size_t(blocks), 0);
    for (size_t b = 0; b < order.size(); ++b) order[b] = int32_t(b);
    std::shuffle(order.begin(), order.end(), std::mt19937(2));
    std::vector<int32_t> tables(rows.size() * size_t(stride), 0);
    size_t next = 0;
    for (size_t r = 0; r < rows.size(); ++r) {
      const int64_t length = rows[r].past + rows[r].fresh;
      for (int64_t b = 0; b * block_tokens < length; ++b) tables[r * size_t(stride) + size_t(b)] = order[next++];
      for (int64_t p = rows[r].past; p < length; ++p)
        positions.push_back(int32_t(p)), row_of_token.push_back(int32_t(r));
    }
    const double layer_bytes = double(blocks * block_tokens) * kv_heads * dim * 4;
    const auto layers = std::clamp<int64_t>(int64_t(4 * double(cache_bytes) / layer_bytes), 2, 24);
    std::vector<PagedAttention> ops;
    for (int64_t i = 0; i < layers; ++i)
      ops.push_back({.q = q_.rows(0, tokens),
                     .kv = filled_layer(blocks),
                     .positions = upload(DType::i32, {tokens}, positions),
                     .row_of_token = upload(DType::i32, {tokens}, row_of_token),
                     .block_tables = upload(DType::i32, {int64_t(rows.size()), stride}, tables),
                     .first_block = upload(DType::i32, {int64_t(rows.size())}, first_block),
                     .scale = 1 / std::sqrt(float(dim)),
                     .window = window,
                     .sinks = sinks_,
                     .out = out_.rows(0, tokens),
                     .longest = longest});
    double best = 1e9;
    for (int round = 0; round < 4; ++round)
      best = std::min(best, backend_->seconds_of([&] {
        for (const PagedAttention& op : ops) backend_->run(op);
      }) / double(layers));
    const double bytes = keys * kv_heads * dim * 4, operations = seen * heads * dim * 4;
    fmt::print("{:34}{:9.1f} us{:8.0f} GB/s {:3.0f} % of copy{:8.1f} TFLOP/s\n", name, best * 1e6,
               bytes / best / 1e9, 100 * bytes / best / copy_, operations / best / 1e12);
    for (const PagedAttention& op : ops)
      for (const Tensor& t :
           {op.kv.keys, op.kv.values, op.positions, op.row_of_token, op.block_tables, op.first_block})
        backend_->release(t);
  }

  static constexpr int64_t most_tokens = 8192;

 private:
  template <typename T>
  Tensor upload(DType dtype, Shape shape, const std::vector<T>& values) {
    const Tensor t = backend_->allocate(dtype, shape);
    backend_->upload(t, values.data(), t.bytes());
    return t;
  }

  /// A layer of the cache full of random numbers.
  KvLayer filled_layer(int64_t blocks) {
    const KvLayer kv = backend_->make_kv_layer(blocks, kv_heads, dim, block_tokens);
    std::vector<int32_t> slots(static_cast<size_t>(blocks * block_tokens));
    for (size_t s = 0; s < slots.size(); ++s) slots[s] = int32_t(s);
    const Tensor all = upload(DType::i32, {int64_t(slots.size())}, slots);
    const int64_t part = most_tokens * heads / (2 * kv_heads);
    const auto random = [&](Shape shape) { return Tensor(DType::f32, shape, q_.raw()); };
    for (int64_t begin = 0; begin < int64_t(slots.size()); begin += part) {
      const int64_t n = std::min(part, int64_t(slots.size()) - begin);
      backend_->run(RopeStore{.qkv = random({n, 2 * kv_heads, dim}),
                              .angles = random({n, 2, dim / 2}),
                              .slots = all.rows(begin, begin + n),
                              .kv = kv,
                              .out = random({n, 0, dim})});
    }
    backend_->synchronize();
    backend_->release(all);
    return kv;
  }

  std::unique_ptr<Backend> backend_;
  Tensor workspace_, q_, out_, sinks_;
  double copy_ = 0;
};

void run() {
  Bench bench;
  for (const int64_t window : {int64_t(0), sliding}) {
    for (const int64_t rows : {1, 8, 29, 101, 256})
      for (const int64_t context : {128, 512, 4096}) {
        if (window > 0 && context != 512) continue;
        bench.run(fmt::format("decode {} x {}{}", rows, context, window > 0 ? ", sliding" : ""),
                  std::vector<Row>(size_t(rows), {context - 1, 1}), window);
      }
    const char* kind = window > 0 ? ", sliding" : "";
    bench.run(fmt::format("prefill 2048{}", kind), {{0, 2048}}, window);
    bench.run(fmt::format("prefill 7168{}", kind), {{0, 7168}}, window);
    bench.run(fmt::format("prefill 2048 after 5120{}", kind), {{5120, 2048}}, window);
    bench.run(fmt::format("prefill 64 x 70{}", kind), std::vector<Row>(64, {0, 70}), window);
    std::vector<Row> mixed(101, {511, 1});
    mixed.push_back({1024, 2048});
    bench.run(fmt::format("101 x 512 and a chunk of 2048{}", kind), mixed, window);
  }
  bench.run("decode 1 x 32768", {{32767, 1}}, 0);
  bench.run("decode 8 x 16384", std::vector<Row>(8, {16383, 1}), 0);
}

}  // namespace
}  // namespace chorus

int main() {
  chorus::run();
}
