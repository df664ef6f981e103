// The walk of 9.0: its products are those of four warps, which read each operand from shared memory once for 64 rows.
#pragma once

#include "sm80/walk.h"
#include "sm90/entries.h"
#include "sm90/products.h"

namespace gica::cuda {

// Rows of 64 elements, their pieces of 16 bytes in the order in which the products of four warps look for them.
template <class E, int rows>
struct SwizzledTile {
  static constexpr bool swizzled = true;
  static constexpr int count = rows, length = kDepth<E>, stride = length, elements = rows * stride;
  static_assert(kDepth<E> == 64 && rows % 8 == 0, "whole atoms of 8 rows of 128 bytes");
  static __device__ __forceinline__ int place(int row, int piece) {
    return row * stride + (piece ^ row % 8) * kPerCopy<E>;
  }
};

// A warpgroup takes 64 background positions by the whole foreground. The last one's begin before its share where that
// is shorter, and the products that another has too are not stored.
template <class E, int rows, int columns, int warps>
struct WarpgroupProduct {
  using Stored = typename E::Stored;
  using Background = SwizzledTile<E, columns>;
  using Foreground = SwizzledTile<E, rows>;
  static constexpr bool scores_in_shared = true;  // makes room for the sums of the whole foreground
  static constexpr int alignment = 1024, share = 64;
  static_assert(columns >= share && columns <= warps / 4 * share, "one share for each warpgroup");

  // Before the barrier behind which products read them.
  static __device__ __forceinline__ void wait_for_operands() {
    cp_async_wait<0>();
    fence_async_proxy();
  }

  template <class Store>
  static __device__ __forceinline__ void multiply(const Stored* operands, int steps, const Store& store) {
    // Every lane has the same; this says so to the compiler.
    const int own = __shfl_sync(~0u, threadIdx.x / 128, 0) * share, first = min(own, columns - share);
    float sums[rows / 2];
    const uint64_t b = wgmma_descriptor(operands + first * kDepth<E>),
                   f = wgmma_descriptor(operands + Background::elements);
    constexpr int step_apart = (Background::elements + Foreground::elements) * 2 / 16;  // in units of a descriptor
    int step = 0, moved = 0;
#pragma unroll 1
    do {
      wgmma_fence(sums);
#pragma unroll
      for (int k = 0; k < kDepth<E> / 16; ++k)
        multiply_16(sums, wgmma_moved(b, moved + 2 * k), wgmma_moved(f, moved + 2 * k), step + k > 0, E{});
      wgmma_commit();
      moved += step_apart;
    } while (++step < steps);
    wgmma_wait<0>(sums);
    const int lane = threadIdx.x % 32, q = first + threadIdx.x % 128 / 32 * 16 + lane / 4;
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (q + 8 * half >= own)
#pragma unroll
        for (int n = 0; n < rows / 8; ++n)
          store(q + 8 * half, n * 8 + lane % 4 * 2, sums[4 * n + 2 * half], sums[4 * n + 2 * half + 1]);
  }
};

template <class E>
using WarpgroupWalk = WalkShape<WarpgroupProduct, E, 128, 12>;

// What narrow tiles serve better is left to them.
template <class E>
bool warpgroup_walk_takes(const Shape& s, const Device& device) {
  using K = WarpgroupWalk<E>;
  return K::fits(s.depth, device) && columns_brought<K>(s) <= columns_brought<NarrowWalk<E>>(s);
}

template <class E>
Outcome launch_warpgroup_walk(const WalkArguments<E>& a, Walked walked, const Shape& s, const Rect& strip, int samples,
                              void* stream) {
  using K = WarpgroupWalk<E>;
  switch (walked) {
    case Walked::scores: return launch_walk<K, Walked::scores>(a, s, strip, samples, stream);
    case Walked::scores_and_patches: return launch_walk<K, Walked::scores_and_patches>(a, s, strip, samples, stream);
    default: return launch_walk<K, Walked::weights>(a, s, strip, samples, stream);
  }
}

}  // namespace gica::cuda
