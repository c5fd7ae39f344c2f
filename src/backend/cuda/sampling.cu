// Draw without a sort. A first kernel reads the logits once, a chunk of a row per thread block: it changes what
// bias and penalties change, and leaves the chunk's largest logit and sums of exponentials, and the largest logit
// of each of its groups, which are what a warp reads. A second one, a block per row, finds the chunk and then the
// token at which the running sum passes the random number.
//
// Where top_p, top_k or min_p cut, tokens are drawn in order of likelihood. From the groups' largest logits the
// block knows a floor under which no token is kept, and passes over the groups that lie under it. It counts the
// tokens above in bins by their distance from the likeliest, finds the bins in which the cut and the draw fall,
// and orders these alone. Weights in bins are integers of 2^-43, whose sums are the same in any order.
//
// Chunks and bins are a row's own, so a row's token is the same in any step. -0 and 0 are equal logits.
#include "backend/cuda/sampling_cuts.cuh"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

using namespace sampling;

struct DrawArgs {
  float* logits;
  const DrawRow* rows;
  const LogitChange* changes;
  Chunk* chunks;       ///< [S, chunks of a row]
  float* group_peaks;  ///< [S, groups of a row]: their largest logits
  Drawn* out;
  int vocabulary, chunks_per_row;
};

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
  wait_for_inputs();
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
  const float group_peak = warp_max(largest);
  const int64_t chunk = int64_t(blockIdx.y) * a.chunks_per_row + blockIdx.x;
  if (threadIdx.x % 32 == 0) a.group_peaks[chunk * chunk_groups + threadIdx.x / 32] = group_peak;
  largest = reduce_block(group_peak, floats, [](float p, float q) { return fmaxf(p, q); });
  int first = a.vocabulary;
  float sum = 0, plain_sum = 0;
  const bool plain = wants_plain_sum(row), drawn = row.inverse_temperature > 0;
#pragma unroll
  for (int i = per_thread - 1; i >= 0; --i)
    if (x[i] == largest) first = begin + i * scan_threads + int(threadIdx.x);
  if (largest > -INFINITY && largest < INFINITY) {
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
      if (drawn) sum += expf((x[i] - largest) * row.inverse_temperature);
      if (plain) plain_sum += expf(x[i] - largest);
    }
  }
  const auto add = [](double p, double q) { return p + q; };
  Chunk found{};
  found.sum = drawn ? reduce_block(double(sum), doubles, add) : 0;
  found.plain_sum = plain ? reduce_block(double(plain_sum), doubles, add) : 0;
  found.largest = largest;
  found.least = reduce_block(least, floats, [](float p, float q) { return fminf(p, q); });
  found.largest_at = reduce_block(first, ints, [](int p, int q) { return min(p, q); });
  found.nan = reduce_block(nan, ints, [](int p, int q) { return p | q; });
  if (threadIdx.x == 0) a.chunks[chunk] = found;
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

/// The chunk of a row with nothing but a temperature in which the token is. A thread has a chunk.
__device__ Found find_chunk(Shared& s, const Chunk& chunk) {
  const RowView& v = s.view;
  const auto inverse_temperature = double(v.row.inverse_temperature);
  const double scale = chunk.sum > 0 ? exp((double(chunk.largest) - double(v.largest)) * inverse_temperature) : 0;
  const double weight = chunk.sum * scale, before = sum_before(weight, s.doubles);
  const double target = v.row.uniform * s.doubles[draw_threads / 32];
  const int own = int(threadIdx.x);
  if (own == 0) s.first_bin = draw_threads, s.count = 0;
  __syncthreads();
  if (weight > 0) {
    atomicMax(&s.count, own);
    if (before + weight > target) atomicMin(&s.first_bin, own);
  }
  __syncthreads();
  const int found = s.first_bin < draw_threads ? s.first_bin : s.count;  // rounding may leave the target above all
  if (own == found) s.found = {found, chunk.largest, (target - before) / scale};
  __syncthreads();
  return s.found;
}

/// A block per row.
__global__ void __launch_bounds__(draw_threads) draw_kernel(DrawArgs a) {
  __shared__ Shared s;
  wait_for_inputs();
  const int own = int(threadIdx.x), n = a.chunks_per_row, groups = n * chunk_groups;
  const Chunk chunk = own < n ? a.chunks[int64_t(blockIdx.x) * n + own] : no_chunk;
  for (int g = own; g < groups; g += draw_threads)
    s.group_peaks[g] = a.group_peaks[int64_t(blockIdx.x) * groups + g];
  if (own == 0)
    s.view = {.logits = a.logits + int64_t(a.rows[blockIdx.x].logits) * a.vocabulary,
              .vocabulary = a.vocabulary,
              .groups = groups,
              .row = a.rows[blockIdx.x]};
  auto* const floats = reinterpret_cast<float*>(s.scan);
  auto* const ints = reinterpret_cast<int*>(s.scan);
  const float largest = reduce_block(chunk.largest, floats, [](float p, float q) { return fmaxf(p, q); });
  const float least = reduce_block(chunk.least, floats, [](float p, float q) { return fminf(p, q); });
  const int nan = reduce_block(chunk.nan, ints, [](int p, int q) { return p | q; });
  int token = reduce_block(chunk.largest == largest ? chunk.largest_at : a.vocabulary, ints,
                           [](int p, int q) { return min(p, q); });
  const DrawRow& row = s.view.row;
  if (nan != 0 || !(largest > -INFINITY && largest < INFINITY)) {
    if (own == 0) a.out[blockIdx.x] = {0, nan != 0 ? NAN : largest, DrawStatus::not_finite};
    return;
  }
  const double scale = chunk.plain_sum > 0 ? exp(double(chunk.largest) - double(largest)) : 0;
  sum_before(chunk.plain_sum * scale, s.doubles);
  if (own == 0) s.view.largest = largest, s.view.least = least, s.view.plain_sum = s.doubles[draw_threads / 32];
  __syncthreads();

  DrawStatus status = DrawStatus::drawn;
  if (row.inverse_temperature > 0 && restricts(row, a.vocabulary)) {
    if (draw_restricted(s))
      token = s.token;
    else
      status = DrawStatus::undecided;
  } else if (row.inverse_temperature > 0) {
    const Found found = find_chunk(s, chunk);
    const int begin = found.chunk * chunk_tokens;
    token = draw_in_chunk(s, begin, min(begin + chunk_tokens, a.vocabulary), found.largest, found.target);
  }
  if (threadIdx.x != 0) return;
  float logprob = 0;
  if (row.wants_logprob != 0 && status == DrawStatus::drawn)
    logprob = float(double(s.view.logits[token]) - double(largest) - log(s.view.plain_sum));
  a.out[blockIdx.x] = {token, logprob, status};
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
                      .group_peaks = workspace().array<float>(rows * chunks * chunk_groups),
                      .out = static_cast<Drawn*>(op.out.raw()),
                      .vocabulary = int(vocabulary),
                      .chunks_per_row = int(chunks)};
  if (workspace().measuring()) return;
  launch("draw_scan", scan_kernel, {.x = chunks, .y = rows, .threads = scan_threads, .overlap = true}, args);
  launch("draw", draw_kernel, {.x = rows, .threads = draw_threads, .overlap = true}, args);
}

}  // namespace chorus::cuda
