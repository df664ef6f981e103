// The entry points of the CUDA kernels. No header of the toolkit is needed to include this one.
#pragma once

#include "gica/params.h"

namespace gica::cuda {

struct Device {
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  int64_t shared_bytes = 0;  // the most shared memory that one block can ask for
  int64_t cache_bytes = 0;   // second level
};

// sm80 runs on everything from compute capability 8.0; sm90 on 9.0 alone.
enum class Family { sm80, sm90 };

// error is a cudaError_t, 0 where all went well; what names the call or the kernel that failed.
struct Outcome {
  int error = 0;
  const char* what = "";
};

// How and where a pass runs. scratch holds what the *_scratch function asks for, aligned to 256 bytes, and may be used
// again as soon as the stream has passed.
struct Call {
  Device device;
  Family family = Family::sm80;
  bool allow_tf32 = false;    // float32 products may be rounded to TF32
  bool generic_only = false;  // leave the kernels for common sizes aside: for tests and measurements
  int64_t scratch_limit = 0;  // bytes for everything that grows with P x Q; 0 = 256 MiB
  void* scratch = nullptr;
  void* stream = nullptr;  // a cudaStream_t
};

// Why these kernels cannot take this problem on this device, as a sentence; null where they can.
const char* refusal(const Inputs& in, const Device& device);

// Pointers in the params are not looked at here.
int64_t forward_scratch(const ForwardParams& params, const Call& call);
int64_t backward_scratch(const BackwardParams& params, const Call& call);
int64_t match_scratch(const MatchParams& params, const Call& call);

// Nothing here waits for the device. row_max and row_sum of the backward are what the forward wrote.
Outcome forward(const ForwardParams& params, const Call& call);
Outcome backward(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call);
Outcome match(const MatchParams& params, const Call& call);

Outcome describe(int index, Device* device);

// Tiles of the Abar grid in `live`, which is (batch, tiles of the foreground's grid, tiles of the background's).
inline int64_t live_tiles(int64_t height, int64_t width) {
  return (height + 1 + 7) / 8 * ((width + 1 + 7) / 8);
}

}  // namespace gica::cuda
