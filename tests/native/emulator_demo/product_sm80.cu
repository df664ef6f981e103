// c = a b in bfloat16 with two stages of cp.async, ldmatrix and mma: four warps, each 16 rows of a 64 x 64 tile.
#include "common/ptx.h"
#include "demo.h"

namespace demo {
namespace {

using gica::cuda::cp_async_16;
using Bf16 = __nv_bfloat16;

constexpr int kTile = 64, kDepth = 32, kThreads = 128;
constexpr int kRowA = kDepth + 8, kRowB = kTile + 8;  // padded: rows of ldmatrix meet in no bank
constexpr int kStage = kTile * kRowA + kDepth * kRowB;

// Rows and columns outside the matrices are zero. The sizes are multiples of 8.
__device__ void load_stage(Bf16* stage, const Bf16* a, const Bf16* b, int m, int n, int k, int row, int column,
                           int depth, Bug bug) {
  for (int i = threadIdx.x; i < kTile * kDepth / 8; i += kThreads) {
    const int r = i / (kDepth / 8), c = i % (kDepth / 8) * 8;
    const bool inside = row + r < m && depth + c < k;
    cp_async_16(stage + r * kRowA + c + (bug == Bug::misaligned_copy), inside ? a + (row + r) * k + depth + c : a,
                inside);
  }
  Bf16* stage_b = stage + kTile * kRowA;
  for (int i = threadIdx.x; i < kDepth * kTile / 8; i += kThreads) {
    const int r = i / (kTile / 8), c = i % (kTile / 8) * 8;
    const bool inside = depth + r < k && column + c < n;
    cp_async_16(stage_b + r * kRowB + c, inside ? b + (depth + r) * n + column + c : b, inside);
  }
  gica::cuda::cp_async_commit();
}

__device__ void multiply_stage(float (&d)[kTile / 8][4], const Bf16* stage, Bug bug) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const Bf16* stage_b = stage + kTile * kRowA;
  for (int k = 0; k < kDepth; k += 16) {
    uint32_t a[4];
    const Bf16* row = stage + (warp * 16 + lane % 16) * kRowA + k + lane / 16 * 8;
    gica::cuda::ldmatrix_x4(a, bug == Bug::misaligned ? row + 2 : row);
    for (int n = 0; n < kTile; n += 16) {
      uint32_t b[4];
      const Bf16* b_row = stage_b + (k + lane % 16) * kRowB + n + lane / 16 * 8;
      if (bug == Bug::no_trans)
        gica::cuda::ldmatrix_x4(b, b_row);
      else
        gica::cuda::ldmatrix_x4_trans(b, b_row);
      gica::cuda::mma_bf16(d[n / 8], a, {b[0], b[1]});
      gica::cuda::mma_bf16(d[n / 8 + 1], a, {b[2], b[3]});
    }
  }
}

__global__ __launch_bounds__(kThreads) void product_kernel(const Bf16* a, const Bf16* b, float* c, int m, int n, int k,
                                                           Bug bug) {
  GICA_DYNAMIC_SHARED(raw);
  Bf16* stages = reinterpret_cast<Bf16*>(raw);
  const int row = blockIdx.y * kTile, column = blockIdx.x * kTile, steps = (k + kDepth - 1) / kDepth;
  float d[kTile / 8][4] = {};
  load_stage(stages, a, b, m, n, k, row, column, 0, bug);
  for (int step = 0; step < steps; step++) {
    const bool last = step + 1 == steps;
    if (!last) load_stage(stages + (step + 1) % 2 * kStage, a, b, m, n, k, row, column, (step + 1) * kDepth, bug);
    if (bug == Bug::no_wait) {
    } else if (last) {
      gica::cuda::cp_async_wait<0>();
    } else {
      gica::cuda::cp_async_wait<1>();
    }
    __syncthreads();
    multiply_stage(d, stages + step % 2 * kStage, bug);
    if (bug != Bug::no_guard) __syncthreads();
  }
  const int lane = threadIdx.x % 32, first = row + threadIdx.x / 32 * 16 + lane / 4;
  for (int i = 0; i < kTile / 8; i++) {
    for (int e = 0; e < 4; e++) {
      const int y = first + e / 2 * 8, x = column + i * 8 + lane % 4 * 2 + e % 2;
      if (y < m && x < n) c[y * n + x] = d[i][e];
    }
  }
}

}  // namespace

std::string product_sm80(Bug bug) {
  const int m = 100, n = 136, k = 200;
  const std::vector<float> a = random_integers(m * k, 6), b = random_integers(k * n, 7);
  const DeviceArray<Bf16> device_a(converted<Bf16>(a)), device_b(converted<Bf16>(b));
  const DeviceArray<float> c(m * n);
  const dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  const Outcome failed = GICA_LAUNCH(product_kernel, grid, dim3(kThreads), 2 * kStage * sizeof(Bf16), nullptr,
                                     device_a.data(), device_b.data(), c.data(), m, n, k, bug);
  return failed.error ? failure(failed) : compare("c", c.values(), product(a, b, m, n, k, false));
}

}  // namespace demo
