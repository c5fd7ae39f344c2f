// Tiles of 64 keys and values on their way from the cache's blocks to shared memory, several at a time, copied by
// the copy engine (cp.async.bulk): one warp of the thread block asks for them, all of its warps read them.
#pragma once

#include "backend/cuda/instructions.cuh"
#include "backend/cuda/attention_tile.cuh"

namespace chorus::cuda {

/// An mbarrier in shared memory.
struct Barrier {
  uint64_t state;

  __device__ void init(int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&state)), "r"(arrivals));
  }
  __device__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&state)) : "memory");
  }
  /// Arrives, and has the phase wait for so many bytes of copies too.
  __device__ void arrive_expecting(int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&state)), "r"(bytes)
                 : "memory");
  }
  /// Until the phase of this parity is over; of a new barrier the phase of parity 1 is.
  __device__ void wait(int parity) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(shared_address(&state)),
        "r"(parity)
        : "memory");
  }
  /// `bytes` from device memory to shared memory, as part of the barrier's phase. 16-byte sizes and addresses.
  __device__ void copy(void* to, const void* from, int bytes) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(&state))
                 : "memory");
  }
};

/// Where one row's keys and values of one kv head are.
struct Pages {
  const std::byte *keys, *values;  ///< of block 0
  int64_t block_bytes;             ///< from block to block
  const int32_t* table;            ///< [page - first_page]: its block
  int first_page;
  Span seen;  ///< pages that may be read
};

extern __shared__ __align__(128) std::byte
    ring_memory[];  // stages * tile_bytes(page_bytes), and what a kernel adds

/// Tiles go in and come out in the same order, at most `stages` at a time. In shared memory, made by reset().
template <int warps>
struct KvRing {
  static constexpr int max_stages = 4;
  Barrier full[max_stages], empty[max_stages];
  Pages pages;
  int stages, page_bytes;

  static constexpr int tile_bytes(int page_bytes) { return 2 * tile_pages * page_bytes; }

  /// By all warps. page_bytes: of one kv head's keys, or values.
  __device__ void reset(int stage_count, int bytes) {
    if (threadIdx.x == 0) {
      stages = stage_count, page_bytes = bytes;
      for (int s = 0; s < stage_count; ++s) full[s].init(1), empty[s].init(warps);
      asm volatile("fence.proxy.async.shared::cta;" ::: "memory");  // the copy engine signals them
    }
    if constexpr (warps > 1)
      __syncthreads();
    else
      __syncwarp();
  }
  __device__ std::byte* stage(int s) const { return ring_memory + s * tile_bytes(page_bytes); }
};

/// Where one of the users of a ring is.
struct RingPlace {
  int stage = 0, phase = 0;

  __device__ void step(int stages) {
    if (++stage == stages) stage = 0, phase ^= 1;
  }
};

/// The warp that puts tiles of a row, in order.
template <int warps>
class RingWriter {
 public:
  __device__ explicit RingWriter(KvRing<warps>& ring) : ring_(ring) {}

  /// From now on tiles of these pages are put, in order from `tile` on.
  __device__ void open(const Pages& pages, int tile) {
    __syncwarp();
    if (threadIdx.x == 0) ring_.pages = pages;
    __syncwarp();
    look_up(tile / table_tiles);
  }

  /// Asks for a tile, once all warps have released what lay in its place.
  __device__ void put(int tile) {
    if constexpr (warps > 1) ring_.empty[at_.stage].wait(at_.phase ^ 1);
    if (tile % table_tiles == 0) look_up(tile / table_tiles);
    const int lane = int(threadIdx.x), page = tile * tile_pages + lane % tile_pages, page_bytes = ring_.page_bytes;
    const Span seen = ring_.pages.seen;
    const int first = max(seen.low, tile * tile_pages), last = min(seen.high, tile * tile_pages + tile_pages - 1);
    const int64_t block = __shfl_sync(all_lanes, blocks_, page % 32);
    Barrier& full = ring_.full[at_.stage];
    if (lane == 0) full.arrive_expecting((last - first + 1) * 2 * page_bytes);
    __syncwarp();
    if (lane < 2 * tile_pages && page >= first && page <= last) {
      const std::byte* const from = lane < tile_pages ? ring_.pages.keys : ring_.pages.values;
      full.copy(ring_.stage(at_.stage) + lane * page_bytes, from + block * ring_.pages.block_bytes, page_bytes);
    }
    at_.step(ring_.stages);
  }

 private:
  static constexpr int table_tiles = 32 / tile_pages;  // whose blocks the lanes hold, one each

  __device__ void look_up(int group) {
    const Pages& p = ring_.pages;
    const int page = group * 32 + int(threadIdx.x);
    blocks_ = page >= p.seen.low && page <= p.seen.high ? p.table[page - p.first_page] : 0;
  }

  KvRing<warps>& ring_;
  RingPlace at_;
  int32_t blocks_ = 0;
};

/// A warp that takes tiles.
template <int warps>
class RingReader {
 public:
  __device__ explicit RingReader(KvRing<warps>& ring) : ring_(ring) {}

  /// The next tile: its keys' pages, then its values'.
  __device__ const uint4* take() {
    ring_.full[at_.stage].wait(at_.phase);
    return reinterpret_cast<const uint4*>(ring_.stage(at_.stage));
  }
  /// This warp is done with what it took.
  __device__ void release() {
    __syncwarp();
    if (warps > 1 && threadIdx.x % 32 == 0) ring_.empty[at_.stage].arrive();
    at_.step(ring_.stages);
  }

 private:
  KvRing<warps>& ring_;
  RingPlace at_;
};

}  // namespace chorus::cuda
