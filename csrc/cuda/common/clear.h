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

// The same in so many places, `stride` bytes from one to the next; for a single one the runtime's limit on strides must
// not count.
inline Outcome clear_each(void* memory, int64_t bytes, int64_t stride, int count, void* stream) {
  if (count == 1 || bytes == 0) return clear(memory, bytes, stream);
  const auto error = cudaMemset2DAsync(memory, static_cast<size_t>(stride), 0, static_cast<size_t>(bytes), count,
                                       static_cast<cudaStream_t>(stream));
  return {static_cast<int>(error), "cudaMemset2DAsync"};
}

inline unsigned blocks_for(int64_t items, int per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

}  // namespace gica::cuda
