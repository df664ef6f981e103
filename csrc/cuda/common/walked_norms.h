// What reaches the norms of the background on the walk of gradients (gradient_walk.h): every warp leaves sums by
// background position over its own runs, which are added up in a fixed order.
#pragma once

#include "common/element.h"
#include "common/samples.h"
#include "common/slots.h"

namespace gica::cuda {

// How the runs of one pair of rows are shared out over the threads, and what these leave for the gradient of the norms:
// a warp sums by background position over its own runs, 32 positions and those that its last run has more.
struct GradientRuns {
  static constexpr int run = 8, threads = 128;
  static constexpr int norms_of_warp = 40;

  // Runs that start in one row of the background, up to 7 positions before it, or in what the last row is padded with;
  // those of all Gram slots.
  int across, count;
  GICA_HOST_DEVICE static GradientRuns of(const Shape& s, const Slots& slots) {
    const int across = s.wb + run - 1 + s.row_stride - s.Q;
    return {across, (slots.gram_width() + run - 1) / run * across};
  }
  // One thread for each.
  GICA_HOST_DEVICE int blocks() const { return (count + threads - 1) / threads; }
  GICA_HOST_DEVICE int norms() const { return (count + 31) / 32 * norms_of_warp; }
  GICA_HOST_DEVICE int64_t all_norms(const Shape& s, const Slots& slots) const {
    return int64_t{slots.score_groups()} * s.hb * norms();
  }
};

// A run's gradients times its scores. Scores that no gradient reaches need not have been computed.
template <class Stored>
__device__ __forceinline__ void multiply_with_scores(const float (&patches)[GradientRuns::run + 2], unsigned exist,
                                                     const Stored* scores, unsigned first, unsigned apart,
                                                     float (&products)[GradientRuns::run]) {
  constexpr int run = GradientRuns::run;
  if (exist == (1u << run) - 1) {
#pragma unroll
    for (int m = 0; m < run; ++m) products[m] = to_float(scores[first + m * apart]);
  } else {
#pragma unroll
    for (int m = 0; m < run; ++m) products[m] = exist >> m & 1 ? to_float(scores[first + m * apart]) : 0.f;
  }
#pragma unroll
  for (int m = 0; m < run; ++m) products[m] = patches[m + 1] != 0 ? patches[m + 1] * products[m] : 0.f;
}

// to[lane]: the sum of the warp's products at the lane's first position; to[32 + i]: at those that only the last lane's
// run still reaches. Nowhere, where `to` is null. any: whether a product of the warp is not 0.
__device__ __forceinline__ void leave_norms(const float (&products)[GradientRuns::run], bool any, float* to) {
  const int lane = threadIdx.x % 32;
  if (!any) {
    if (to) to[lane] = 0;
    if (to && lane < GradientRuns::run - 1) to[32 + lane] = 0;
    return;
  }
  float sum = 0;
#pragma unroll
  for (int m = GradientRuns::run - 1; m >= 0; --m) {
    const float before = __shfl_up_sync(~0u, sum, 1);
    sum = (lane == 0 ? 0.f : before) + products[m];
    if (to && m > 0 && lane == 31) to[31 + m] = sum;
  }
  if (to) to[lane] = sum;
}

// norm_gradient[q] += what the walk left for it, in a fixed order.
static __global__ void add_walked_norms(const float* norms, Slots slots, Shape s, float* norm_gradient) {
  const int q = blockIdx.x * blockDim.x + threadIdx.x;
  if (q >= s.Q) return;
  const GradientRuns runs = GradientRuns::of(s, slots);
  const int u = q / s.wb, v = q % s.wb;
  norms = of_sample(norms, s), norm_gradient = of_sample(norm_gradient, s);
  float total = norm_gradient[q];
  for (int group = 0; group < slots.score_groups(); ++group) {
    const float* row = norms + (static_cast<size_t>(group) * s.hb + u) * runs.norms();
    for (int index = v + GradientRuns::run - 1; index < runs.count; index += runs.across) {
      const int warp = index / 32, lane = index % 32;
      total += row[warp * GradientRuns::norms_of_warp + lane];
      if (lane < GradientRuns::run - 1 && warp > 0) total += row[(warp - 1) * GradientRuns::norms_of_warp + 32 + lane];
    }
  }
  norm_gradient[q] = total;
}

}  // namespace gica::cuda
