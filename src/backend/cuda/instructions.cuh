// What has an instruction of its own: the tensor cores' products, shared memory, copies to it and their barriers.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace chorus::cuda {

/// d += a * b: 16 x 8 sums over 16, bf16 into f32. Lane 4 * g + c holds of d rows g (first two) and g + 8, columns
/// 2c and 2c + 1; of a rows g (even registers) and g + 8, k = 2c, 2c + 1 (first two registers) and 8 more; of b
/// column g, k = 2c, 2c + 1 and, in b1, 8 more. No row of d depends on another row of a.
__device__ inline void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// d = a * b.
__device__ inline void multiply_first(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%10,%10,%10,%10};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.f));
}

/// 2^x within 2^-22; 0 for minus infinity.
__device__ inline float exp2_of(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// A value that is the same in all lanes of a warp, which all ask: the compiler does not compute it anew, as it
/// does addresses in shared memory, at the cost of a special register's latency.
__device__ inline uint32_t uniform(uint32_t v) {
  return __reduce_or_sync(0xffffffffu, v);
}

/// Addresses in shared memory are 32 bits: to compute with generic ones costs as much as to unpack the weights.
__device__ inline uint32_t shared_address(const void* p) {
  return uint32_t(__cvta_generic_to_shared(p));
}
__device__ inline uint4 load_shared_16(uint32_t at) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(at)
               : "memory");
  return v;
}
__device__ inline uint2 load_shared_8(uint32_t at) {
  uint2 v;
  asm volatile("ld.shared.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(at) : "memory");
  return v;
}
__device__ inline uint32_t load_shared_4(uint32_t at) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(at) : "memory");
  return v;
}

/// Barriers in shared memory (mbarrier), by their address. A phase ends when `arrivals` have arrived and the bytes
/// that were announced have come; phases are told apart by their parity, the first one's is 0.
__device__ inline void init_barrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
/// After the barriers' init, before the threads meet: the copy engine sees them too.
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ inline void arrive_and_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
__device__ inline void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/// Nanoseconds that a waiting warp sleeps at most before it looks again: long, since looking takes issue slots
/// from the warps that work.
constexpr uint32_t longest_sleep = 1'000'000;
/// Returns when the phase of this parity has ended.
__device__ inline void wait_for_phase(uint32_t barrier, uint32_t parity) {
  uint32_t ended = 0;
  while (ended == 0)
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2, %3; selp.u32 %0, 1, 0, p; }"
        : "=r"(ended)
        : "r"(barrier), "r"(parity), "r"(longest_sleep)
        : "memory");
}
/// A whole number of 16 bytes by the copy engine, asked for by one thread; announced to the barrier before.
__device__ inline void copy_bulk(uint32_t shared, const void* global, uint32_t bytes, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared),
      "l"(global), "r"(bytes), "r"(barrier)
      : "memory");
}
/// A box of rows' chunks (input_tiles.h), from a chunk and a row on.
__device__ inline void copy_tile(uint32_t shared, const CUtensorMap* map, int chunk, int row, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
      "[%5];" ::"r"(shared),
      "l"(map), "r"(0), "r"(row), "r"(chunk), "r"(barrier)
      : "memory");
}
/// True in one lane of a warp, all of which ask: so the compiler knows that a branch is one thread's.
__device__ inline bool elect_one() {
  uint32_t elected;
  asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p; }" : "=r"(elected));
  return elected != 0;
}

}  // namespace chorus::cuda
