// A sum over a block: shared memory, a barrier, shuffles, an atomic addition.
#include "demo.h"

namespace demo {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

__global__ __launch_bounds__(kThreads) void sum_kernel(const float* values, float* sum, int size, Bug bug) {
  GICA_DYNAMIC_SHARED(raw);
  float* parts = reinterpret_cast<float*>(raw);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float mine = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) mine += __ldg(values + i);
  for (int bits = 16; bits; bits /= 2) mine += __shfl_xor_sync(~0u, mine, bits);
  if (lane == 0) parts[bug == Bug::out_of_bounds ? warp + 1 : warp] = mine;
  if (bug == Bug::divergent_barrier && warp % 2) {
    __syncthreads();
  } else if (bug != Bug::no_barrier) {
    __syncthreads();
  }
  if (warp) return;
  mine = lane < kWarps ? parts[lane] : 0;
  if (bug == Bug::divergent_shuffle && lane >= 16) return;
  for (int bits = 16; bits; bits /= 2) mine += __shfl_xor_sync(~0u, mine, bits);
  if (lane == 0) atomicAdd(sum, mine);
}

}  // namespace

std::string block_sum(Bug bug) {
  const std::vector<float> values = random_integers(10007, 1);
  const DeviceArray<float> in(values), out(1);
  const Outcome failed = GICA_LAUNCH(sum_kernel, dim3(3), dim3(kThreads), kWarps * sizeof(float), nullptr, in.data(),
                                     out.data(), static_cast<int>(values.size()), bug);
  if (failed.error) return failure(failed);
  float wanted = 0;
  for (float v : values) wanted += v;
  return compare("sum", out.values(), {wanted});
}

}  // namespace demo
