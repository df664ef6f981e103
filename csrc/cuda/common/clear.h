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

inline unsigned blocks_for(int64_t items, int per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

}  // namespace gica::cuda
