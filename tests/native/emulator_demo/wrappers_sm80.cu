// Uses every function of ptx.h once, to see that it compiles for a device.
#include "common/launch.h"
#include "common/ptx.h"

namespace gica::cuda {

template <int Wanted, int Groups>
__global__ void wrappers_kernel(float* out, const void* in) {
  GICA_DYNAMIC_SHARED(shared);
  unsigned char* row = shared + threadIdx.x * 16;
  cp_async_16(row, in, Wanted > 0);
  cp_async_commit();
  cp_async_wait<Groups>();
  named_barrier_arrive(2, 64);
  named_barrier_sync(1, 32);
  uint32_t a[4], b[2];
  float d[4] = {};
  ldmatrix_x4(a, row);
  ldmatrix_x2(b, row);
  mma_bf16(d, a, b);
  ldmatrix_x4_trans(a, row);
  ldmatrix_x2_trans(b, row);
  mma_f16(d, a, b);
  for (uint32_t& x : a) x = to_tf32(__uint_as_float(x));
  mma_tf32(d, a, b);
  out[threadIdx.x] = exp2_approx(d[0] + d[1]) + d[2] + d[3];
}

__global__ void empty_kernel() {}

Outcome launch_wrappers(float* out, const void* in, void* stream) {
  const dim3 grid(2), block(32);
  const size_t more_than_without_asking = 64 << 10;
  if (auto failed = GICA_LAUNCH((wrappers_kernel<1, 0>), grid, block, more_than_without_asking, stream, out, in);
      failed.error) {
    return failed;
  }
  if (auto failed = GICA_LAUNCH_CLUSTER(empty_kernel, grid, block, 2, 0, stream); failed.error) return failed;
  return GICA_LAUNCH(empty_kernel, grid, block, 0, stream);
}

}  // namespace gica::cuda
