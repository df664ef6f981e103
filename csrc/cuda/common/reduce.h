// Sums, maxima and the like over the threads of a block.
#pragma once

#include "common/launch.h"

namespace gica::cuda {

// Folds one value per thread; every thread gets the result. The order is fixed, so the result is the same every time.
// room: one T per warp. The block is a whole number of warps.
template <class T, class Fold>
__device__ __forceinline__ T fold_block(T value, T* room, const Fold& fold) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value = fold(value, __shfl_xor_sync(~0u, value, distance));
  __syncthreads();
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = value;
  __syncthreads();
  value = room[0];
  for (int warp = 1; warp < static_cast<int>(blockDim.x) / 32; ++warp) value = fold(value, room[warp]);
  return value;
}

// Whether any thread of the block says so.
__device__ __forceinline__ bool any_thread(bool said) {
  __shared__ int room[32];
  return fold_block(static_cast<int>(said), room, [](int a, int b) { return a | b; }) != 0;
}

}  // namespace gica::cuda
