// Uses every function of ptx_sm90.h once, to see that it compiles for a device.
#include "common/launch.h"
#include "common/ptx_sm90.h"

namespace gica::cuda {

template <int N>
__device__ float sum_of_product(uint64_t a, uint64_t b) {
  float d[N], sum = 0;
  wgmma_fence(d);
  wgmma_bf16(d, a, b, false);
  wgmma_f16(d, wgmma_moved(a, 2), wgmma_moved(b, 2));
  wgmma_commit();
  wgmma_wait<0>(d);
#pragma unroll
  for (int i = 0; i < N; i++) sum += d[i];
  return sum;
}

__global__ __launch_bounds__(256, 1) void wrappers_kernel(const __grid_constant__ TensorMap map, float* out,
                                                          const void* in) {
#if defined(GICA_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  GICA_DYNAMIC_SHARED(shared);
  uint64_t* barrier = reinterpret_cast<uint64_t*>(shared + 65536);
  if (threadIdx.x == 0) {
    tma_prefetch(&map);
    mbarrier_init(barrier, 3);
    mbarrier_init_fence();
  }
  cluster_sync();
  if (threadIdx.x < 128) {
    lower_registers<40>();
    if (threadIdx.x == 0) {
      mbarrier_arrive_expect(barrier, 4 * 8192);
      tma_load(shared, &map, barrier, 0, 0);
      tma_load_multicast(shared + 8192 * (1 + cluster_rank()), &map, barrier, 0, 0, 3);
      bulk_load(shared + 3 * 8192, in, 8192, barrier);
      mbarrier_arrive(barrier);
      mbarrier_arrive_at(barrier, cluster_rank() ^ 1);
    }
  } else {
    raise_registers<232>();
    mbarrier_wait(barrier, 0);
    fence_async_proxy();
    const uint64_t tile = wgmma_descriptor(shared);
    out[threadIdx.x] = sum_of_product<36>(tile, tile) + sum_of_product<32>(tile, tile) +
                       sum_of_product<64>(tile, tile) + sum_of_product<128>(tile, tile);
  }
  cluster_sync();
#endif
}

Outcome launch_wrappers_sm90(float* out, const void* in, void* stream) {
  TensorMap map;
  if (Outcome failed = make_tensor_map(&map, in, 64, 64, 128, 64, 64); failed.error) return failed;
  return GICA_LAUNCH_CLUSTER(wrappers_kernel, dim3(2), dim3(256), 2, 128 << 10, stream, map, out, in);
}

}  // namespace gica::cuda
