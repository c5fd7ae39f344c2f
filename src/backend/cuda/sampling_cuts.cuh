// A token of a row that top_p, top_k or min_p cut (sampling.cu says how).
#pragma once

#include "backend/cuda/sampling.cuh"

namespace chorus::cuda::sampling {

/// Bits whose order is that of the numbers.
__device__ inline unsigned ordered(float x) {
  const unsigned bits = __float_as_uint(x);
  return bits ^ (bits >> 31 != 0 ? ~0u : 1u << 31);
}
__device__ inline float from_ordered(unsigned bits) {
  return __uint_as_float(bits ^ (bits >> 31 != 0 ? 1u << 31 : ~0u));
}

/// Bins of a row by distance from its largest logit.
struct Bins {
  float largest, floor, scale;
  __device__ bool takes(float x) const { return x >= floor; }
  __device__ int of(float x) const { return int(fminf((largest - x) * scale, float(bins - 1))); }
};

/// The peaks of groups are tokens: where these alone reach top_k or top_p, so do all.
__device__ inline float floor_of_peaks(Shared& s) {
  const RowView& v = s.view;
  const Weight top_p = top_p_of(v);
  const unsigned top_k = top_k_of(v);
  for (int g = int(threadIdx.x); g < v.groups; g += draw_threads)
    s.group_weights[g] = v.row.top_p < 1 ? weight_of(s.group_peaks[g] - v.largest) : 0;
  if (threadIdx.x == 0) s.floor_bits = ordered(-INFINITY);
  __syncthreads();
  for (int g = int(threadIdx.x); g < v.groups; g += draw_threads) {
    const float peak = s.group_peaks[g];
    unsigned count = 0;
    Weight weight = 0;
    for (int other = 0; other < v.groups; ++other) {
      const bool above = s.group_peaks[other] >= peak;
      count += unsigned(above);
      weight += above ? s.group_weights[other] : 0;
    }
    if (count >= top_k || weight >= top_p) atomicMax(&s.floor_bits, ordered(peak));
  }
  __syncthreads();
  return from_ordered(s.floor_bits);
}

/// A floor under which surely all is cut away.
__device__ inline float floor_of(Shared& s) {
  const RowView& v = s.view;
  float floor = v.least;
  if (v.row.log_min_p > -INFINITY) floor = fmaxf(floor, v.largest + v.row.log_min_p);
  if (v.row.top_p < 1) {
    // A token that weighs less than a V-th of what top_p cuts away is cut: so little are all those below it
    // together.
    const double cut_share = (1 - v.row.top_p) * v.plain_sum / v.vocabulary;
    floor = fmaxf(floor, v.largest - float(0.01 - log(cut_share)));
  }
  if (v.row.top_p < 1 || v.row.top_k > 0) floor = fmaxf(floor, floor_of_peaks(s));
  return fminf(floor, v.largest);
}

__device__ inline Bins bins_of(Shared& s) {
  const RowView& v = s.view;
  const float floor = floor_of(s);
  const float distance = fminf(v.largest - floor, widest * fmaxf(1.f, 1 / v.row.inverse_temperature));
  return {v.largest, floor, distance > 0 ? (bins - 1) / distance : 0.f};
}

/// Calls f(logit, id) for the tokens above the floor, but for groups that `passes_over` their largest logit. A
/// warp reads what a warp of the first kernel read.
template <typename P, typename F>
__device__ inline void for_each_token(const Shared& s, const Bins& b, P&& passes_over, F&& f) {
  const RowView& v = s.view;
  for (int g = int(threadIdx.x) / 32; g < v.groups; g += draw_threads / 32) {
    const float peak = s.group_peaks[g];
    if (!b.takes(peak) || passes_over(peak)) continue;
    const int first = g / chunk_groups * chunk_tokens + g % chunk_groups * 32 + int(threadIdx.x) % 32;
    float x[per_thread];
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
      const int id = first + i * scan_threads;
      x[i] = id < v.vocabulary ? v.logits[id] : -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < per_thread; ++i)
      if (x[i] > -INFINITY && b.takes(x[i])) f(x[i], first + i * scan_threads);
  }
}

/// Tokens of a bin into the list, likeliest first, equals by id. False if they are too many.
__device__ inline bool list_bin(Shared& s, const Bins& b, int bin) {
  __syncthreads();
  if (threadIdx.x == 0) s.count = 0;
  __syncthreads();
  for_each_token(
      s, b, [&](float peak) { return b.of(peak) > bin; },
      [&](float x, int id) {
        if (b.of(x) != bin) return;
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

/// Makes counts and weights of bins those of all bins up to each, itself included. A thread has a bin.
__device__ inline void sum_bins(Shared& s) {
  const int at = int(threadIdx.x);
  const unsigned count = s.hist.counts[at];
  const Weight plain = s.hist.plain[at], weight = s.weights[at];
  s.hist.counts[at] = unsigned(sum_before(Weight(count), s.scan)) + count;
  s.hist.plain[at] = sum_before(plain, s.scan) + plain;
  s.weights[at] = sum_before(weight, s.scan) + weight;
  __syncthreads();
}

/// A token of a row that top_p, top_k or min_p cut. False: the host must draw.
__device__ inline bool draw_restricted(Shared& s) {
  const RowView& v = s.view;
  const DrawRow& row = v.row;
  const Bins b = bins_of(s);
  const int own = int(threadIdx.x);
  s.hist.plain[own] = s.weights[own] = 0, s.hist.counts[own] = 0;
  if (threadIdx.x == 0) s.first_cut = s.first_bin = bins, s.token = -1;
  __syncthreads();
  for_each_token(
      s, b, [](float) { return false; },
      [&](float x, int) {
        const int bin = b.of(x);
        atomicAdd(&s.hist.counts[bin], 1u);
        if (row.top_p < 1) atomicAdd(&s.hist.plain[bin], weight_of(x - v.largest));
        atomicAdd(&s.weights[bin], weight_of((x - v.largest) * row.inverse_temperature));
      });
  __syncthreads();
  sum_bins(s);

  // The bin in which the first of the cuts falls. A token stays while those above it have not reached top_p.
  const Weight top_p = top_p_of(v);
  const unsigned top_k = top_k_of(v);
  if (s.hist.counts[own] >= top_k || s.hist.plain[own] >= top_p) atomicMin(&s.first_cut, own);
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
  if (own < cut && s.weights[own] > target) atomicMin(&s.first_bin, own);
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

}  // namespace chorus::cuda::sampling
