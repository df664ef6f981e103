// Products of four warps by arithmetic: 64 rows by as many columns as there are sums for.
#pragma once

#include "common/element.h"
#include "common/ptx_sm90.h"

namespace gica::cuda {

template <int sums_of_thread>
__device__ __forceinline__ void multiply_16(float (&sums)[sums_of_thread], uint64_t a, uint64_t b, bool accumulate,
                                            BFloat16) {
  wgmma_bf16(sums, a, b, accumulate);
}
template <int sums_of_thread>
__device__ __forceinline__ void multiply_16(float (&sums)[sums_of_thread], uint64_t a, uint64_t b, bool accumulate,
                                            Half) {
  wgmma_f16(sums, a, b, accumulate);
}

}  // namespace gica::cuda
