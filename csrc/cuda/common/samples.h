// Several samples of a batch in one launch. blockIdx.z tells which of them a block works on; each has scratch of its
// own, laid out like that of the first.
#pragma once

#include <type_traits>

#include "common/shape.h"

namespace gica::cuda {

struct Samples {
  int first, count;
};

// A sample's own part of scratch, from the first one's.
template <class T>
__device__ __forceinline__ T* of_sample(T* scratch, const Shape& s) {
  using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
  return reinterpret_cast<T*>(reinterpret_cast<Byte*>(scratch) + blockIdx.z * s.scratch_stride);
}

// The number of a sample, from the first one's.
__device__ __forceinline__ int number_of_sample(int first) {
  return first + static_cast<int>(blockIdx.z);
}

}  // namespace gica::cuda
