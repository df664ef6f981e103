// c = a b^T in bfloat16 the Hopper way: one warp loads tiles, two warpgroups multiply them; four stages go round
// between them. In clusters two blocks share the columns: each loads half a tile of b for both.
#include "common/ptx_sm90.h"
#include "demo.h"

namespace demo {
namespace {

using Bf16 = __nv_bfloat16;
using namespace gica::cuda;

constexpr int kRows = 128, kColumns = 128, kDepth = 64, kStages = 4, kThreads = 384;
constexpr int kTileA = kRows * kDepth, kTileB = kColumns * kDepth;
constexpr int kTileBytes = kStages * (kTileA + kTileB) * 2;
constexpr int kSharedBytes = kTileBytes + 2 * kStages * 8;

struct Shared {
  Bf16 *a, *b;
  uint64_t *full, *empty;
};

template <int Cluster>
__device__ void load_tiles(const Shared& shared, const TensorMap& a, const TensorMap& b, int steps, Bug bug) {
  const int rank = Cluster > 1 ? cluster_rank() : 0, share = kColumns / Cluster;
  for (int step = 0; step < steps + (bug == Bug::left_copy); step++) {
    const int stage = step % kStages;
    mbarrier_wait(shared.empty + stage, step / kStages % 2 ^ 1);
    mbarrier_arrive_expect(shared.full + stage, (kTileA + kTileB) * 2 + (bug == Bug::wrong_bytes) * 16);
    tma_load(shared.a + stage * kTileA, &a, shared.full + stage, step * kDepth, blockIdx.x * kRows);
    Bf16* part = shared.b + stage * kTileB + rank * share * kDepth;
    const int column = blockIdx.y * kColumns + rank * share;
    if (Cluster > 1)
      tma_load_multicast(part, &b, shared.full + stage, step * kDepth, column, (1 << Cluster) - 1);
    else
      tma_load(part, &b, shared.full + stage, step * kDepth, column);
  }
}

// The stage is free again for every block that writes to it.
template <int Cluster>
__device__ void release(uint64_t* empty, int thread) {
  if (Cluster == 1 && thread == 0) mbarrier_arrive(empty);
  if (Cluster > 1 && thread < Cluster) mbarrier_arrive_at(empty, thread);
}

template <int Cluster>
__device__ void multiply_tiles(const Shared& shared, float (&d)[kColumns / 2], int group, int steps, Bug bug) {
  const int thread = threadIdx.x % 128;
  for (int step = 0; step < steps; step++) {
    const int stage = step % kStages;
    if (bug != Bug::no_full) mbarrier_wait(shared.full + stage, step / kStages % 2);
    const uint64_t a = wgmma_descriptor(shared.a + stage * kTileA + group * 64 * kDepth);
    const uint64_t b = wgmma_descriptor(shared.b + stage * kTileB);
    if (bug != Bug::no_fence) wgmma_fence(d);
#pragma unroll
    for (int k = 0; k < kDepth / 16; k++) wgmma_bf16(d, a + 2 * k, b + 2 * k);
    wgmma_commit();
    if (bug != Bug::early_release) wgmma_wait<0>(d);
    release<Cluster>(shared.empty + stage, thread);
  }
  wgmma_wait<0>(d);
}

template <int Cluster>
__global__ __launch_bounds__(kThreads, 1) void product_kernel(const __grid_constant__ TensorMap a,
                                                              const __grid_constant__ TensorMap b, float* c, int m,
                                                              int n, int k, Bug bug) {
#if defined(GICA_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  GICA_DYNAMIC_SHARED(raw);
  Shared shared{reinterpret_cast<Bf16*>(raw), nullptr, reinterpret_cast<uint64_t*>(raw + kTileBytes), nullptr};
  shared.b = shared.a + kStages * kTileA;
  shared.empty = shared.full + kStages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; i++) {
      mbarrier_init(shared.full + i, 1);
      if (bug != Bug::no_init) mbarrier_init(shared.empty + i, 2 * Cluster + (bug == Bug::wrong_count));
    }
    mbarrier_init_fence();
  }
  if (Cluster > 1)
    cluster_sync();
  else
    __syncthreads();

  const int steps = (k + kDepth - 1) / kDepth, group = static_cast<int>(threadIdx.x) / 128 - 1;
  if (group < 0) {
    lower_registers<40>();
    if (threadIdx.x == 0) load_tiles<Cluster>(shared, a, b, steps, bug);
  } else {
    raise_registers<232>();
    float d[kColumns / 2] = {};
    multiply_tiles<Cluster>(shared, d, group, steps, bug);
    const int thread = threadIdx.x % 128, row = blockIdx.x * kRows + group * 64 + thread / 32 * 16 + thread % 32 / 4;
#pragma unroll
    for (int i = 0; i < kColumns / 2; i++) {
      const int y = row + i / 2 % 2 * 8, x = blockIdx.y * kColumns + i / 4 * 8 + thread % 4 * 2 + i % 2;
      if (y < m && x < n) c[y * n + x] = d[i];
    }
  }
  if (Cluster > 1 && bug != Bug::leave_early) cluster_sync();  // nobody leaves while others may still reach into it
#endif
}

template <int Cluster>
std::string run(Bug bug) {
  const int m = 200, n = 136, k = 328;
  const std::vector<float> a = random_integers(m * k, 8), b = random_integers(n * k, 9);
  const DeviceArray<Bf16> device_a(converted<Bf16>(a)), device_b(converted<Bf16>(b));
  const DeviceArray<float> c(m * n);
  TensorMap map_a, map_b;
  Outcome failed = make_tensor_map(&map_a, device_a.data(), k, m, k * 2, kDepth, kRows);
  if (!failed.error) failed = make_tensor_map(&map_b, device_b.data(), k, n, k * 2, kDepth, kColumns / Cluster);
  if (failed.error) return failure(failed);
  const dim3 grid((m + kRows - 1) / kRows, (n + kColumns - 1) / kColumns);
  failed = GICA_LAUNCH_CLUSTER(product_kernel<Cluster>, grid, dim3(kThreads), Cluster, kSharedBytes, nullptr, map_a,
                               map_b, c.data(), m, n, k, bug);
  return failed.error ? failure(failed) : compare("c", c.values(), product(a, b, m, n, k, true));
}

}  // namespace

std::string product_sm90(Bug bug) {
  return run<1>(bug);
}
std::string product_cluster(Bug bug) {
  return run<2>(bug);
}

}  // namespace demo
