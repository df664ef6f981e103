// Errors that are handed on, and memory set to zero.
#pragma once

#include "common/launch.h"

#define GICA_TRY(call)                                                 \
  do {                                                                 \
    if (const Outcome outcome = (call); outcome.error) return outcome; \
  } while (false)

namespace gica::cuda {

inline Outcome clear(void* memory, int64_t bytes, void* stream) {
  const auto error = cudaMemsetAsync(memory, 0, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream));
  return {static_cast<int>(error), "cudaMemsetAsync"};
}

// The same in so many places, `stride` bytes from one to the next. The runtime takes strides below 2 GiB; where they
// are longer, places are few.
inline Outcome clear_each(void* memory, int64_t bytes, int64_t stride, int count, void* stream) {
  if (bytes == 0) return {};
  if (count == 1 || stride > INT32_MAX) {
    for (int i = 0; i < count; ++i) GICA_TRY(clear(static_cast<char*>(memory) + i * stride, bytes, stream));
    return {};
  }
  const auto error = cudaMemset2DAsync(memory, static_cast<size_t>(stride), 0, static_cast<size_t>(bytes), count,
                                       static_cast<cudaStream_t>(stream));
  return {static_cast<int>(error), "cudaMemset2DAsync"};
}

inline unsigned blocks_for(int64_t items, int per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

}  // namespace gica::cuda
