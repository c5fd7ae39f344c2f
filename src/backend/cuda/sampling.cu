// Draw without a sort. A first kernel reads the logits once, a chunk of a row per thread block: it changes what
// bias and penalties change, and leaves the chunk's largest logit and sums of exponentials. A second one, a block
// per row, finds the chunk and then the token at which the running sum passes the random number.
//
// Where top_p, top_k or min_p cut, tokens are drawn in order of likelihood. The block counts the row's tokens in
// bins by their distance from the likeliest, finds the bins in which the cut and the draw fall, and orders these
// alone. Weights in bins are integers of 2^-43, whose sums are the same in any order.
//
// Chunks and bins are a row's own, so a row's token is the same in any step. -0 and 0 are equal logits.
#include "backend/cuda/device.cuh"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

constexpr int chunk_tokens = 4096, scan_threads = 256, per_thread = chunk_tokens / scan_threads;
constexpr int draw_threads = 1024, bins = 2 * draw_threads, listed = 1024;
constexpr int most_chunks = 256;  // of a row: 2^20 tokens, whose weights, at most 2^43 each, 64 bits can add
constexpr float widest = 40;      // e^-40 of the likeliest: what lies beyond is one bin

/// What the first kernel finds in a chunk.
struct Chunk {
  double sum, plain_sum;  ///< of e^((x - largest) / temperature), of e^(x - largest); 0 unless wanted
  float largest, least;   ///< of the numbers above -infinity; -infinity and infinity where there are none
  int32_t largest_at;     ///< in the row; the first of equals
  int32_t nan;
};

struct DrawArgs {
  float* logits;
  const DrawRow* rows;
  const LogitChange* changes;
  Chunk* chunks;  ///< [S, chunks of a row]
  Drawn* out;
  int vocabulary, chunks_per_row;
};

__device__ inline bool restricts(const DrawRow& row, int vocabulary) {
  return row.top_p < 1 || row.log_min_p > -INFINITY || (row.top_k > 0 && row.top_k < vocabulary);
}
__device__ inline bool wants_plain_sum(const DrawRow& row) {
  return row.wants_logprob != 0 || (row.inverse_temperature > 0 && row.top_p < 1);
}

/// Called by all threads; the result is thread 0's. `shared` has room for one value per warp.
template <typename T, typename F>
__device__ T reduce_block(T v, T* shared, F&& join) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  for (int d = 16; d > 0; d /= 2) v = join(v, __shfl_xor_sync(all_lanes, v, d));
  __syncthreads();  // before what an earlier call left is written over
  if (lane == 0) shared[warp] = v;
  __syncthreads();
  for (int w = 1; threadIdx.x == 0 && w < warps; ++w) v = join(v, shared[w]);
  return v;
}

/// Sums of the threads before this one; called by all threads. `shared` has room for one value per warp and one
/// more, in which the sum of all is left.
template <typename T>
__device__ T sum_before(T v, T* shared) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  T sum = v;
  for (int d = 1; d < 32; d *= 2) {
    const T below = __shfl_up_sync(all_lanes, sum, d);
    if (lane >= d) sum += below;
  }
  __syncthreads();
  if (lane == 31) shared[warp] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    T total = 0;
    for (int w = 0; w < warps; ++w) {
      const T of_warp = shared[w];
      shared[w] = total;
      total += of_warp;
    }
    shared[warps] = total;
  }
  __syncthreads();
  return shared[warp] + sum - v;
}

__device__ inline void change_logit(float& logit, const LogitChange& change, const DrawRow& row) {
  float x = logit + change.bias;
  if (change.count > 0) {
    if (row.repetition_penalty != 1) x = x < 0 ? x * row.repetition_penalty : x / row.repetition_penalty;
    x -= row.presence_penalty;
    x -= row.frequency_penalty * float(change.count);
  }
  logit = x;
}

/// Grid: chunks of a row x rows.
__global__ void __launch_bounds__(scan_threads) scan_kernel(DrawArgs a) {
  __shared__ float floats[scan_threads / 32];
  __shared__ double doubles[scan_threads / 32];
  __shared__ int ints[scan_threads / 32];
  __shared__ float shared_largest;
  const DrawRow& row = a.rows[blockIdx.y];
  float* const logits = a.logits + int64_t(row.logits) * a.vocabulary;
  const int begin = int(blockIdx.x) * chunk_tokens, end = min(begin + chunk_tokens, a.vocabulary);
  for (int c = row.changes_begin + int(threadIdx.x); c < row.changes_end; c += scan_threads) {
    const LogitChange change = a.changes[c];
    if (change.token_id >= begin && change.token_id < end) change_logit(logits[change.token_id], change, row);
  }
  __syncthreads();

  float x[per_thread], largest = -INFINITY, least = INFINITY;
  int nan = 0;
#pragma unroll
  for (int i = 0; i < per_thread; ++i) {
    const int at = begin + i * scan_threads + int(threadIdx.x);
    x[i] = at < end ? logits[at] : -INFINITY;
    nan |= int(x[i] != x[i]);
    largest = x[i] > largest ? x[i] : largest;
    if (x[i] > -INFINITY && x[i] < least) least = x[i];
  }
  const auto larger = [](float p, float q) { return fmaxf(p, q); };
  largest = reduce_block(largest, floats, larger);
  if (threadIdx.x == 0) shared_largest = largest;
  __syncthreads();
  largest = shared_largest;
  int first = a.vocabulary;
  double sum = 0, plain_sum = 0;
  const bool plain = wants_plain_sum(row), drawn = row.inverse_temperature > 0;
#pragma unroll
  for (int i = per_thread - 1; i >= 0; --i)
    if (x[i] == largest) first = begin + i * scan_threads + int(threadIdx.x);
  if (largest > -INFINITY && largest < INFINITY) {
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
      if (drawn) sum += double(expf((x[i] - largest) * row.inverse_temperature));
      if (plain) plain_sum += double(expf(x[i] - largest));
    }
  }
  const auto add = [](double p, double q) { return p + q; };
  Chunk found{};
  found.sum = drawn ? reduce_block(sum, doubles, add) : 0;
  found.plain_sum = plain ? reduce_block(plain_sum, doubles, add) : 0;
  found.largest = largest;
  found.least = reduce_block(least, floats, [](float p, float q) { return fminf(p, q); });
  found.largest_at = reduce_block(first, ints, [](int p, int q) { return min(p, q); });
  found.nan = reduce_block(nan, ints, [](int p, int q) { return p | q; });
  if (threadIdx.x == 0) a.chunks[int64_t(blockIdx.y) * a.chunks_per_row + blockIdx.x] = found;
}

/// A row as the second kernel knows it.
struct RowView {
  const float* logits;
  int vocabulary;
  DrawRow row;
  float largest, least;
  double plain_sum;  ///< relative to `largest`
};

using Weight = unsigned long long;  // in units of 2^-43

__device__ inline Weight weight_of(float distance) {  // distance <= 0, in logits
  return Weight(double(expf(distance)) * 0x1p43);
}

struct Shared {
  union {
    struct {
      Chunk of[most_chunks];
      double scales[most_chunks];
    } chunks;
    struct {
      Weight plain[bins];
      unsigned counts[bins];
    } hist;
    struct {
      float x[listed], sorted_x[listed];
      int ids[listed], sorted_ids[listed];
    } list;
  };
  Weight weights[bins];
  Weight scan[draw_threads / 32 + 1];
  double doubles[draw_threads / 32 + 1];
  int count, first_cut, first_bin, token;
  Weight kept_weight;
  RowView view;
};
static_assert(sizeof(Shared) <= 48 << 10);

/// Bins of a row by distance from its largest logit.
struct Bins {
  float floor, scale;  ///< tokens under the floor are surely cut away
  __device__ bool takes(float x) const { return x >= floor; }
  __device__ int of(float x, float largest) const { return int(fminf((largest - x) * scale, float(bins - 1))); }
};

/// If a token weighs less than a V-th of what top_p cuts away, so do all those below it together: it is cut, too.
__device__ Bins bins_of(const RowView& v) {
  float floor = v.least, distance = v.largest - v.least;
  if (v.row.top_p < 1) {
    const double cut_share = (1 - v.row.top_p) * v.plain_sum / v.vocabulary;
    floor = fmaxf(floor, v.largest - float(0.01 - log(cut_share)));
  }
  if (v.row.log_min_p > -INFINITY) floor = fmaxf(floor, v.largest + v.row.log_min_p);
  floor = fminf(floor, v.largest);
  distance = fminf(v.largest - floor, widest * fmaxf(1.f, 1 / v.row.inverse_temperature));
  return {floor, distance > 0 ? (bins - 1) / distance : 0.f};
}

/// Calls f(logit, id) for all of a row. Several loads are under way at once.
template <typename F>
__device__ void for_each_logit(const RowView& v, F&& f) {
  constexpr int ahead = 8;
  for (int begin = int(threadIdx.x); begin < v.vocabulary; begin += ahead * draw_threads) {
    float x[ahead];
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const int at = begin + i * draw_threads;
      x[i] = at < v.vocabulary ? v.logits[at] : -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < ahead; ++i)
      if (x[i] > -INFINITY) f(x[i], begin + i * draw_threads);
  }
}

/// Tokens of a bin into the list, likeliest first, equals by id. False if they are too many.
__device__ bool list_bin(Shared& s, const Bins& b, int bin) {
  const RowView& v = s.view;
  __syncthreads();
  if (threadIdx.x == 0) s.count = 0;
  __syncthreads();
  for_each_logit(v, [&](float x, int id) {
    if (!b.takes(x) || b.of(x, v.largest) != bin) return;
    const int n = atomicAdd(&s.count, 1);
    if (n < listed) s.list.x[n] = x, s.list.ids[n] = id;
  });
  __syncthreads();
  const int n = s.count;
  if (n > listed) return false;
  for (int i = int(threadIdx.x); i < n; i += draw_threads) {
    const float x = s.list.x[i];
    const int id = s.list.ids[i];
    int rank = 0;
    for (int j = 0; j < n; ++j) rank += int(s.list.x[j] > x || (s.list.x[j] == x && s.list.ids[j] < id));
    s.list.sorted_x[rank] = x, s.list.sorted_ids[rank] = id;
  }
  __syncthreads();
  return true;
}

/// Makes counts and weights of bins those of all bins up to each, itself included.
__device__ void sum_bins(Shared& s) {
  const int at = 2 * int(threadIdx.x);
  const auto sum = [&](auto* values) {
    const Weight first = values[at], second = values[at + 1], before = sum_before(first + second, s.scan);
    values[at] = static_cast<std::remove_reference_t<decltype(*values)>>(before + first);
    values[at + 1] = static_cast<std::remove_reference_t<decltype(*values)>>(before + first + second);
  };
  sum(s.hist.counts);
  sum(s.hist.plain);
  sum(s.weights);
  __syncthreads();
}

/// A token of a row that top_p, top_k or min_p cut. False: the host must draw.
__device__ bool draw_restricted(Shared& s) {
  const RowView& v = s.view;
  const DrawRow& row = v.row;
  const Bins b = bins_of(v);
  for (int i = int(threadIdx.x); i < bins; i += draw_threads)
    s.hist.plain[i] = s.weights[i] = 0, s.hist.counts[i] = 0;
  if (threadIdx.x == 0) s.first_cut = s.first_bin = bins, s.token = -1;
  __syncthreads();
  for_each_logit(v, [&](float x, int) {
    if (!b.takes(x)) return;
    const int bin = b.of(x, v.largest);
    atomicAdd(&s.hist.counts[bin], 1u);
    if (row.top_p < 1) atomicAdd(&s.hist.plain[bin], weight_of(x - v.largest));
    atomicAdd(&s.weights[bin], weight_of((x - v.largest) * row.inverse_temperature));
  });
  __syncthreads();
  sum_bins(s);

  // The bin in which the first of the cuts falls. A token stays while those above it have not reached top_p.
  const Weight top_p = row.top_p < 1 ? max(Weight(row.top_p * v.plain_sum * 0x1p43), Weight(1)) : ~Weight(0);
  const unsigned top_k = row.top_k > 0 ? unsigned(row.top_k) : ~0u;
  for (int i = int(threadIdx.x); i < bins; i += draw_threads)
    if (s.hist.counts[i] >= top_k || s.hist.plain[i] >= top_p) atomicMin(&s.first_cut, i);
  __syncthreads();
  const int cut = s.first_cut;
  Weight kept = s.weights[bins - 1];
  if (cut < bins) {
    const unsigned count_before = cut > 0 ? s.hist.counts[cut - 1] : 0;
    const Weight plain_before = cut > 0 ? s.hist.plain[cut - 1] : 0;
    if (!list_bin(s, b, cut)) return false;  // writes over the counts
    if (threadIdx.x == 0) {
      unsigned count = count_before;
      Weight plain = plain_before, weight = cut > 0 ? s.weights[cut - 1] : 0;
      int n = 0;
      for (; n < s.count && count < top_k && plain < top_p; ++n, ++count) {
        plain += row.top_p < 1 ? weight_of(s.list.sorted_x[n] - v.largest) : 0;
        weight += weight_of((s.list.sorted_x[n] - v.largest) * row.inverse_temperature);
      }
      s.count = n;
      s.kept_weight = weight;
    }
    __syncthreads();
    kept = s.kept_weight;
  }

  const auto target = Weight(row.uniform * double(kept));
  for (int i = int(threadIdx.x); i < min(cut, bins); i += draw_threads)
    if (s.weights[i] > target) atomicMin(&s.first_bin, i);
  __syncthreads();
  const int bin = min(s.first_bin, min(cut, bins - 1));  // none before: that of the cut, which is listed already
  if (bin != cut && !list_bin(s, b, bin)) return false;
  if (threadIdx.x == 0) {
    Weight weight = bin > 0 ? s.weights[bin - 1] : 0;
    for (int n = 0; n < s.count; ++n) {
      s.token = s.list.sorted_ids[n];
      weight += weight_of((s.list.sorted_x[n] - v.largest) * row.inverse_temperature);
      if (weight > target) break;
    }
  }
  __syncthreads();
  return s.token >= 0;
}

/// A token of a row with nothing but a temperature: the first at which the running sum of weights passes the
/// target. `target` is a sum of the chunk's own weights, which are relative to its largest logit.
__device__ int draw_in_chunk(Shared& s, int begin, int end, float largest, double target) {
  constexpr int each = chunk_tokens / draw_threads;
  const RowView& v = s.view;
  const int first = begin + int(threadIdx.x) * each;
  double weights[each], sum = 0;
#pragma unroll
  for (int i = 0; i < each; ++i) {
    const bool there = first + i < end && v.logits[first + i] > -INFINITY;
    weights[i] = there ? double(expf((v.logits[first + i] - largest) * v.row.inverse_temperature)) : 0;
    sum += weights[i];
  }
  double running = sum_before(sum, s.doubles);
  if (threadIdx.x == 0) s.token = end, s.count = -1;
  __syncthreads();
  for (int i = 0; i < each; ++i) {
    running += weights[i];
    if (weights[i] > 0) atomicMax(&s.count, first + i);
    if (weights[i] > 0 && running > target) {
      atomicMin(&s.token, first + i);
      break;
    }
  }
  __syncthreads();
  return s.token < end ? s.token : s.count;  // rounding may leave the target just above the sum of all
}

/// A block per row.
__global__ void __launch_bounds__(draw_threads) draw_kernel(DrawArgs a) {
  __shared__ Shared s;
  __shared__ struct {
    int nan, largest_at, chunk;
    double target;
  } found;
  const int n = a.chunks_per_row;
  for (int c = int(threadIdx.x); c < n; c += draw_threads) s.chunks.of[c] = a.chunks[int64_t(blockIdx.x) * n + c];
  __syncthreads();
  const Chunk* const chunks = s.chunks.of;
  if (threadIdx.x == 0) {
    s.view = {.logits = a.logits + int64_t(a.rows[blockIdx.x].logits) * a.vocabulary,
              .vocabulary = a.vocabulary,
              .row = a.rows[blockIdx.x],
              .largest = -INFINITY,
              .least = INFINITY,
              .plain_sum = 0};
    found = {.nan = 0, .largest_at = 0, .chunk = -1, .target = 0};
    for (int c = 0; c < n; ++c) {
      found.nan |= chunks[c].nan;
      if (chunks[c].largest > s.view.largest)
        s.view.largest = chunks[c].largest, found.largest_at = chunks[c].largest_at;
      s.view.least = fminf(s.view.least, chunks[c].least);
    }
  }
  __syncthreads();
  const DrawRow& row = s.view.row;
  const float largest = s.view.largest;
  Drawn& out = a.out[blockIdx.x];
  if (found.nan != 0 || !(largest > -INFINITY && largest < INFINITY)) {
    if (threadIdx.x == 0) out = {0, found.nan != 0 ? NAN : largest, DrawStatus::not_finite};
    return;
  }
  /// To sums relative to the row's largest logit from those relative to the chunk's.
  const auto scale_chunks = [&](double inverse_temperature) {
    for (int c = int(threadIdx.x); c < n; c += draw_threads)
      s.chunks.scales[c] = exp((double(chunks[c].largest) - double(largest)) * inverse_temperature);
    __syncthreads();
  };
  if (wants_plain_sum(row)) {
    scale_chunks(1);
    if (threadIdx.x == 0)
      for (int c = 0; c < n; ++c) s.view.plain_sum += chunks[c].plain_sum * s.chunks.scales[c];
    __syncthreads();
  }
  int token = found.largest_at;
  DrawStatus status = DrawStatus::drawn;
  if (row.inverse_temperature > 0 && restricts(row, a.vocabulary)) {
    if (draw_restricted(s))
      token = s.token;
    else
      status = DrawStatus::undecided;
  } else if (row.inverse_temperature > 0) {
    scale_chunks(double(row.inverse_temperature));
    if (threadIdx.x == 0) {
      double total = 0, running = 0;
      for (int c = 0; c < n; ++c) total += chunks[c].sum * s.chunks.scales[c];
      const double target = row.uniform * total;
      for (int c = 0; c < n; ++c) {
        const double weight = chunks[c].sum * s.chunks.scales[c];
        if (!(weight > 0)) continue;
        found.chunk = c;
        found.target = (target - running) / s.chunks.scales[c];
        if ((running += weight) > target) break;
      }
    }
    __syncthreads();
    const int begin = found.chunk * chunk_tokens;
    token = draw_in_chunk(s, begin, min(begin + chunk_tokens, a.vocabulary), chunks[found.chunk].largest,
                          found.target);
  }
  if (threadIdx.x != 0) return;
  float logprob = 0;
  if (row.wants_logprob != 0)
    logprob = float(double(s.view.logits[token]) - double(largest) - log(s.view.plain_sum));
  out = {token, logprob, status};
}

}  // namespace

void CudaBackend::run(const Draw& op) {
  const int64_t rows = op.rows.size(0), vocabulary = op.logits.size(1);
  const int64_t chunks = (vocabulary + chunk_tokens - 1) / chunk_tokens;
  if (chunks > most_chunks)
    throw Error(Fault::internal, "a vocabulary is too large to draw from").with("tokens", vocabulary);
  const Arena::Scope scope(workspace());
  const DrawArgs args{.logits = op.logits.data<float>(),
                      .rows = static_cast<const DrawRow*>(op.rows.raw()),
                      .changes = static_cast<const LogitChange*>(op.changes.raw()),
                      .chunks = workspace().array<Chunk>(rows * chunks),
                      .out = static_cast<Drawn*>(op.out.raw()),
                      .vocabulary = int(vocabulary),
                      .chunks_per_row = int(chunks)};
  if (workspace().measuring()) return;
  launch("draw_scan", scan_kernel, {.x = chunks, .y = rows, .threads = scan_threads}, args);
  launch("draw", draw_kernel, {.x = rows, .threads = draw_threads}, args);
}

}  // namespace chorus::cuda
