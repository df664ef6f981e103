// The instructions of compute capability 9.0a that C++ has no words for: barriers in shared memory, copies by the
// tensor memory accelerator, matrix products of four warps, clusters. No other file of the sm90 family contains
// assembly; under the emulator the same functions are C++. All shared memory they touch is dynamic shared memory.
#pragma once

#include <cstdint>

#include "common/ptx.h"
#include "gica/cuda.h"

#if defined(GICA_EMULATED)

#include "emulator/ptx_sm90.h"

#else

#include <cuda.h>
#include <cuda_runtime.h>

namespace gica::cuda {

// A matrix in global memory and the tile that one load takes from it; a kernel takes it as `const __grid_constant__`.
using TensorMap = CUtensorMap;

// For a matrix of 16-bit elements: `rows` rows of `columns` elements, `row_bytes` apart (a multiple of 16, as is the
// base). A tile is `box_rows` rows of 64 elements, 128-byte swizzled; what lies outside the matrix is zero. The
// driver's function is looked up at run time, so that nothing links against the driver.
inline Outcome make_tensor_map(TensorMap* map, const void* base, uint64_t columns, uint64_t rows, uint64_t row_bytes,
                               int box_columns, int box_rows) {
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found{};
    cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
    return found == cudaDriverEntryPointSuccess ? reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function)
                                                : nullptr;
  }();
  if (!encode) return {static_cast<int>(cudaErrorNotSupported), "cuTensorMapEncodeTiled"};
  const cuuint64_t sizes[2] = {columns, rows}, strides[1] = {row_bytes};
  const cuuint32_t box[2] = {static_cast<cuuint32_t>(box_columns), static_cast<cuuint32_t>(box_rows)},
                   steps[2] = {1, 1};
  const CUresult result = encode(map, CU_TENSOR_MAP_DATA_TYPE_UINT16, 2, const_cast<void*>(base), sizes, strides, box,
                                 steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return {result == CUDA_SUCCESS ? 0 : static_cast<int>(cudaErrorInvalidValue), "cuTensorMapEncodeTiled"};
}

// ---- mbarrier: 8 bytes in shared memory. A phase is complete when `arrivals` arrivals and all announced bytes are
// there.

__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}

// Makes initialised barriers known to the copy engine and the cluster; by the thread that initialised, before a
// barrier.
__device__ __forceinline__ void mbarrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

// Arrives at the same barrier of another block of the cluster. Ordinary loads and stores are not ordered between the
// blocks: what passes from one to the other, here, is memory that copies write and products have read. With
// .release.cluster every arrival would wait for all that the multiprocessor has stored.
__device__ __forceinline__ void mbarrier_arrive_at(uint64_t* barrier, int block) {
  asm volatile(
      "{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(shared_address(barrier)),
      "r"(block)
      : "memory");
}

// Arrives, and announces bytes that copies will bring.
__device__ __forceinline__ void mbarrier_arrive_expect(uint64_t* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

// Waits until the phase of this parity is complete. A fresh barrier is in phase 0: waiting for parity 1 does not wait.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
  asm volatile(
      "{\n.reg .pred p;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra AGAIN;\n}" ::"r"(
          shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// ---- Copies to shared memory by one thread, counted by an mbarrier in bytes

__device__ __forceinline__ void tma_prefetch(const TensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// The tile whose first element is column x of row y, to a multiple of 1024.
__device__ __forceinline__ void tma_load(void* shared, const TensorMap* map, uint64_t* barrier, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
          "r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y)
      : "memory");
}

// The same to the same place in every block of the mask, each of which its own barrier tells.
__device__ __forceinline__ void tma_load_multicast(void* shared, const TensorMap* map, uint64_t* barrier, int x, int y,
                                                   uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%0], [%1, {%3, %4}], [%2], %5;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "h"(blocks)
      : "memory");
}

// `bytes` as they are; the addresses and the size are multiples of 16.
__device__ __forceinline__ void bulk_load(void* shared, const void* global, int bytes, uint64_t* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(shared)),
               "l"(global), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}

// ---- Products of four warps: D (64 x N) += A B^T, both operands rows of 64 elements in shared memory, swizzled

// Of a tile at a multiple of 1024. Adding 2 moves on by 16 columns, adding 64 by 8 rows.
__device__ __forceinline__ uint64_t wgmma_descriptor(const void* tile) {
  return static_cast<uint64_t>((shared_address(tile) & 0x3FFFF) >> 4) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

// A descriptor of another part of shared memory: what is added stays within the lower half.
__device__ __forceinline__ uint64_t wgmma_moved(uint64_t descriptor, int by) {
  return (descriptor & 0xFFFFFFFF00000000) | (static_cast<uint32_t>(descriptor) + by);
}

// Products run on when their instruction is past. This keeps the compiler from moving what it does with accumulators
// across what orders them.
template <int Count>
__device__ __forceinline__ void settle(float (&d)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// Before the first product after anything else has touched the accumulators.
template <int Count>
__device__ __forceinline__ void wgmma_fence(float (&d)[Count]) {
  settle(d);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

// Closes a group: the products since the last one.
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Waits until at most N groups are under way; with none, d is there.
template <int N, int Count>
__device__ __forceinline__ void wgmma_wait(float (&d)[Count]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
  settle(d);
}

#define GICA_LIST_8(a, b, c, d, e, f, g, h) "%" #a ",%" #b ",%" #c ",%" #d ",%" #e ",%" #f ",%" #g ",%" #h
#define GICA_LIST_TEN(t) "%" #t "0,%" #t "1,%" #t "2,%" #t "3,%" #t "4,%" #t "5,%" #t "6,%" #t "7,%" #t "8,%" #t "9,"
#define GICA_LIST_30 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," GICA_LIST_TEN(1) GICA_LIST_TEN(2)
#define GICA_LIST_60 GICA_LIST_30 GICA_LIST_TEN(3) GICA_LIST_TEN(4) GICA_LIST_TEN(5)
#define GICA_LIST_120 \
  GICA_LIST_60 GICA_LIST_TEN(6) GICA_LIST_TEN(7) GICA_LIST_TEN(8) GICA_LIST_TEN(9) GICA_LIST_TEN(10) GICA_LIST_TEN(11)
#define GICA_LIST_OF_32 GICA_LIST_30 "%30,%31"
#define GICA_LIST_OF_36 GICA_LIST_30 "%30,%31,%32,%33,%34,%35"
#define GICA_LIST_OF_64 GICA_LIST_60 "%60,%61,%62,%63"
#define GICA_LIST_OF_128 GICA_LIST_120 GICA_LIST_8(120, 121, 122, 123, 124, 125, 126, 127)

#define GICA_IN_OUT_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define GICA_IN_OUT_16(i) GICA_IN_OUT_4(i), GICA_IN_OUT_4(i + 4), GICA_IN_OUT_4(i + 8), GICA_IN_OUT_4(i + 12)
#define GICA_IN_OUT_32(i) GICA_IN_OUT_16(i), GICA_IN_OUT_16(i + 16)
#define GICA_IN_OUT_36(i) GICA_IN_OUT_32(i), GICA_IN_OUT_4(i + 32)
#define GICA_IN_OUT_64(i) GICA_IN_OUT_32(i), GICA_IN_OUT_32(i + 32)
#define GICA_IN_OUT_128(i) GICA_IN_OUT_64(i), GICA_IN_OUT_64(i + 64)

// accumulate: add to d; otherwise d is overwritten.
#define GICA_WGMMA(type, columns, count, left, right, flag)                                                         \
  __device__ __forceinline__ void wgmma_##type(float (&d)[count], uint64_t a, uint64_t b, bool accumulate = true) { \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #flag                                                         \
                 ", 0;\n"                                                                                           \
                 "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." #type "." #type " {" GICA_LIST_OF_##count  \
                 "}, %" #left ", %" #right ", p, 1, 1, 0, 0;\n}"                                                    \
                 : GICA_IN_OUT_##count(0)                                                                           \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)));                                              \
  }
GICA_WGMMA(bf16, 64, 32, 32, 33, 34)
GICA_WGMMA(bf16, 72, 36, 36, 37, 38)
GICA_WGMMA(bf16, 128, 64, 64, 65, 66)
GICA_WGMMA(bf16, 256, 128, 128, 129, 130)
GICA_WGMMA(f16, 64, 32, 32, 33, 34)
GICA_WGMMA(f16, 72, 36, 36, 37, 38)
GICA_WGMMA(f16, 128, 64, 64, 65, 66)
GICA_WGMMA(f16, 256, 128, 128, 129, 130)
#undef GICA_WGMMA
#undef GICA_IN_OUT_128
#undef GICA_IN_OUT_64
#undef GICA_IN_OUT_36
#undef GICA_IN_OUT_32
#undef GICA_IN_OUT_16
#undef GICA_IN_OUT_4
#undef GICA_LIST_OF_128
#undef GICA_LIST_OF_64
#undef GICA_LIST_OF_36
#undef GICA_LIST_OF_32
#undef GICA_LIST_120
#undef GICA_LIST_60
#undef GICA_LIST_30
#undef GICA_LIST_TEN
#undef GICA_LIST_8

// ---- Clusters, and what else a kernel in roles needs

__device__ __forceinline__ int cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return static_cast<int>(rank);
}

// All threads of all blocks of the cluster.
__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// Between ordinary stores to shared memory and products or copies that read them.
__device__ __forceinline__ void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// A warpgroup takes more registers for its threads, or gives some up; a multiple of 8 in 24 to 256.
template <int Registers>
__device__ __forceinline__ void raise_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ __forceinline__ void lower_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

}  // namespace gica::cuda

#endif
