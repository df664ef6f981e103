// The walk of scores (walk.h) in reverse: from the gradient of the propagated scores to that of the Gram products in
// one kernel, for patches of 3 x 3 and propagation by 3 x 3 or none.
//
// A thread owns a run, eight elements of a diagonal: neighbouring Gram slots and neighbouring background positions. Its
// block goes down a diagonal of (Gram group, background row) pairs. The sums are those of the scores, last first, and
// stay with the thread: those down the columns join what it had one and two steps before, those along the rows are sums
// of neighbours on the diagonal, of which it works out as many more as they reach for.
#pragma once

#include "common/element.h"
#include "common/launch.h"
#include "common/samples.h"
#include "common/slots.h"
#include "common/walk_shape.h"
#include "common/walked_norms.h"

namespace gica::cuda {

template <class E>
struct GradientWalk {
  const float* gradient;  // of the propagated scores: [row of `positions`][row_stride]
  Rect positions;
  const float* reciprocal_norm;
  const typename E::Stored* scores;  // of the patches: [score slot][row_stride]
  Slots slots;
  typename E::Stored* grams;  // [Gram slot][row_stride]
  float* norms;               // [group of scores][background row][GradientRuns::norms]; null: not asked for

  __device__ __forceinline__ GradientWalk of_sample(const Shape& s) const {
    using gica::cuda::of_sample;
    return {of_sample(gradient, s),
            positions,
            of_sample(reciprocal_norm, s),
            of_sample(scores, s),
            slots,
            of_sample(grams, s),
            norms ? of_sample(norms, s) : nullptr};
  }
};

// The steps of a walk inside one stretch of Gram groups that lie under each other in the map (slots.h).
struct Stretch {
  int segment;
  int first;  // group of scores: that of the first step, which the stretch may not have
  int end;    // behind its last group of scores
  int steps;  // Gram groups

  __device__ __forceinline__ Stretch(const Slots& slots, int gram_group, int most) {
    segment = slots.gram_group(gram_group).segment;
    const int behind = 2 * segment + 1;
    first = gram_group - behind;
    end = min(slots.score_groups(), (segment + 1) * slots.height - slots.first_row);
    steps = min(most, end + behind + 1 - gram_group);
  }
  __device__ __forceinline__ bool has(const Slots& slots, int group) const {
    return group >= 0 && group < end && row(slots, group) >= 0;
  }
  // Of the map.
  __device__ __forceinline__ int row(const Slots& slots, int group) const {
    return slots.first_row + group - segment * slots.height;
  }
};

// One run: element m is Gram slot i0 + m of its group, and background position c0 + m of its row.
struct RunPlace {
  int i0, c0;
};

// The gradients of the patch scores under a run and one element on either side of it.
template <bool fuse>
class PropagatedGradients {
 public:
  static constexpr int radius = fuse ? 1 : 0, run = GradientRuns::run, wide = run + 2, count = wide + 2 * radius;

  // room: count floats for each thread of the block.
  __device__ __forceinline__ PropagatedGradients(const float* gradient, const Rect& positions, const Slots& slots,
                                                 const Shape& s, RunPlace at, float* room)
      : s_(s),
        slots_(slots),
        gradient_(gradient),
        x0_(at.i0 - 2 - 2 * radius),
        c0_(at.c0 - 1 - radius),
        room_(room + threadIdx.x) {
    const int y = slots.strip.y0 - positions.y0, x = slots.strip.x0 - positions.x0;
    down_ = static_cast<unsigned>(positions.width()) * s.row_stride;
    first_ = y * down_ + static_cast<unsigned>(x + x0_) * s.row_stride + c0_;
  }

  // Where the map's edge has moved the stretch by so many columns.
  __device__ __forceinline__ void start(int shift) {
    inside_ = 0, known_ = false;
#pragma unroll
    for (int m = 0; m < count; ++m) {
      const int x = x0_ + m, column = slots_.strip.x0 + x + shift;
      inside_ |= static_cast<unsigned>(x >= 0 && x < slots_.strip.width() && column >= 0 && column < s_.wf) << m;
    }
  }

  // Of a group of scores and a row of the background. Steps follow each other down a diagonal.
  __device__ __forceinline__ void step(int group, int u, float (&sums)[wide]) {
    float rows[count];
    // Around the background's first and last rows its neighbours are found one by one.
    const bool plain = (u - 1) * s_.wb >= run + 1 && (u + 2) * s_.wb + run + 1 <= s_.Q;
    if (!plain) {
      gather(group, u, rows);
    } else if constexpr (!fuse) {
      load(group, u, rows);
    } else {
      if (!known_) {
        load(group - 2, u - 1, two_);
        load(group - 1, u, one_);
#pragma unroll
        for (int m = 0; m < count; ++m) two_[m] += one_[m];
      }
      load(group, u + 1, rows);
#pragma unroll
      for (int m = 0; m < count; ++m) {
        const float next = rows[m];
        rows[m] = two_[m] + next;
        two_[m] = one_[m] + next, one_[m] = next;
      }
    }
    known_ = plain;
#pragma unroll
    for (int m = 0; m < wide; ++m) sums[m] = fuse ? rows[m] + rows[m + radius] + rows[m + 2 * radius] : rows[m];
  }

 private:
  // Of a row of the strip, 0 outside of it, and one of the background.
  __device__ __forceinline__ void load(int y, int u, float (&values)[count]) const {
    const unsigned at = first_ + y * down_ + u * s_.wb, apart = s_.row_stride + 1;
    const unsigned inside = y >= 0 && y < slots_.strip.height() ? inside_ : 0;
    if (inside == (1u << count) - 1) {
#pragma unroll
      for (int m = 0; m < count; ++m) values[m] = gradient_[at + m * apart];
    } else {
#pragma unroll
      for (int m = 0; m < count; ++m) values[m] = inside >> m & 1 ? gradient_[at + m * apart] : 0.f;
    }
  }

  // The sums down the columns, over the background's edges.
  __device__ __forceinline__ void gather(int group, int u, float (&values)[count]) const {
#pragma unroll 1
    for (int m = 0; m < count; ++m) {
      const int q = u * s_.wb + c0_ + m;
      float total = 0;
#pragma unroll 1
      for (int e = -radius; e <= radius && (inside_ >> m & 1) && q >= 0 && q < s_.Q; ++e) {
        const int y = group - radius - e, from = step_down(q, -e, s_.hb, s_.wb);
        if (y >= 0 && y < slots_.strip.height() && from >= 0)
          total += gradient_[first_ + y * down_ + static_cast<unsigned>(m) * s_.row_stride + from - c0_];
      }
      room_[m * GradientRuns::threads] = total;
    }
#pragma unroll
    for (int m = 0; m < count; ++m) values[m] = room_[m * GradientRuns::threads];
  }

  const Shape& s_;
  const Slots& slots_;
  const float* gradient_;
  int x0_, c0_;  // of the first element
  float* room_;
  unsigned first_, down_;  // a strip has fewer than 2^32 scores (select.cpp): what is read is in reach of them
  unsigned inside_;
  bool known_;
  float two_[count], one_[count];  // sums of the last two rows, of the last
};

// Divides gradients of the patch products by their norms; those that do not exist are 0. p and q are flat positions of
// the first one.
__device__ __forceinline__ void divide_by_norms(float (&patches)[GradientRuns::run + 2], unsigned exist, int p, int q,
                                                const float* reciprocal_norm, const Shape& s) {
  constexpr int wide = GradientRuns::run + 2;
  if (exist == (1u << wide) - 1 && p >= 0 && p + wide <= s.P && q >= 0 && q + wide <= s.Q) {
#pragma unroll
    for (int m = 0; m < wide; ++m) patches[m] *= reciprocal_norm[q + m];
    return;
  }
  // A norm may be NaN: no product with it is 0.
#pragma unroll
  for (int m = 0; m < wide; ++m) {
    const bool inside = p + m >= 0 && p + m < s.P && q + m >= 0 && q + m < s.Q;
    patches[m] = inside && exist >> m & 1 ? patches[m] * reciprocal_norm[q + m] : 0.f;
  }
}

// One thread per run, so many blocks per diagonal.
template <class E, bool fuse>
__global__ __launch_bounds__(GradientRuns::threads, 4) void walk_gradients(GradientWalk<E> first, Shape s) {
  constexpr int run = GradientRuns::run, wide = run + 2;
  using Propagated = PropagatedGradients<fuse>;
  // In shared memory, since registers are what runs short.
  __shared__ float room[Propagated::count * GradientRuns::threads], sums[run * GradientRuns::threads];
  __shared__ GradientWalk<E> a;
  if (threadIdx.x == 0) a = first.of_sample(s);
  __syncthreads();
  const Slots& slots = first.slots;
  const GradientRuns runs = GradientRuns::of(s, slots);
  const int diagonal = blockIdx.x / runs.blocks();
  const int index = blockIdx.x % runs.blocks() * GradientRuns::threads + threadIdx.x, warp = index / 32;
  const RunPlace at = {index / runs.across * run, index % runs.across - (run - 1)};
  const bool leaves_norms = warp * GradientRuns::norms_of_warp < runs.norms();
  unsigned own = 0;  // elements that exist, a bit each
#pragma unroll
  for (int m = 0; m < run; ++m)
    own |= static_cast<unsigned>(at.i0 + m < slots.gram_width() && at.c0 + m >= 0 && at.c0 + m < s.wb) << m;
  unsigned has_score = 0;  // whether there is a patch at an element of the run, or at the one on either side
#pragma unroll
  for (int m = 0; m < wide; ++m)
    has_score |= static_cast<unsigned>(at.i0 + m >= 2 && at.i0 + m < 2 + slots.score_width()) << m;
  const unsigned down = s.row_stride + 1;  // from one element to the next
  int gram_group = max(0, diagonal - s.hb + 1), u = diagonal < s.hb ? diagonal : 0;
  Propagated propagated(a.gradient, first.positions, slots, s, at, room);
  while (gram_group < slots.gram_groups() && u < s.hb) {
    const Stretch stretch(slots, gram_group, s.hb - u);
    const int shift = slots.first_shift + stretch.segment;
    const int left = slots.strip.x0 + shift + at.i0 - s.halo;  // the run's first column in the map, or past its edges
    propagated.start(shift);
    unsigned reached = 0;  // bit m: by the patch of the left neighbour; 16 + m: of the right one
#pragma unroll
    for (int m = 0; m < run; ++m) {
      const unsigned both = reach(left + m, s.wf) & reach(at.c0 + m, s.wb);
      reached |= (both & 1) << m | (both >> 1) << (16 + m);
    }
    float two[run];                         // sums of the last two rows
    float* const one = sums + threadIdx.x;  // of the last: of element m at m * threads
#pragma unroll
    for (int m = 0; m < run; ++m) two[m] = one[m * GradientRuns::threads] = 0;
    // Behind the last Gram group there are no scores, and its own sum is finished.
    for (int step = 0; step <= stretch.steps; ++step) {
      const int group = stretch.first + step, row = u + step;
      float patches[wide] = {};
      if (stretch.has(slots, group) && row < s.hb) {
        propagated.step(group, row, patches);
        bool any = false;
#pragma unroll
        for (int m = 0; m < wide; ++m) any |= patches[m] != 0;
        // Most blocks of attention are dead, and leave nothing to do.
        any = __any_sync(~0u, any);
        const int p = stretch.row(slots, group) * s.wf + left - 1, q = row * s.wb + at.c0 - 1;
        if (any) divide_by_norms(patches, has_score, p, q, a.reciprocal_norm, s);
        if (a.norms) {
          float products[run] = {};
          const unsigned slot = group * slots.score_width() + at.i0 - 1;
          if (any)
            multiply_with_scores(patches, own & has_score >> 1, a.scores, slot * s.row_stride + q + 1, down, products);
          float* norms = a.norms + (static_cast<size_t>(group) * s.hb + row) * runs.norms();
          leave_norms(products, any, leaves_norms ? norms + warp * GradientRuns::norms_of_warp : nullptr);
        }
      }
      float totals[run];
#pragma unroll
      for (int m = 0; m < run; ++m) {
        const float before = reached >> m & 1 ? patches[m] : 0.f,
                    behind = reached >> (16 + m) & 1 ? patches[m + 2] : 0.f;
        const float sum = patches[m + 1] + before + behind;
        totals[m] = two[m] + sum;
        two[m] = one[m * GradientRuns::threads] + sum, one[m * GradientRuns::threads] = sum;
      }
      if (step == 0) continue;
      const unsigned slot = (gram_group + step - 1) * slots.gram_width() + at.i0;
      const unsigned to = slot * s.row_stride + (row - 1) * s.wb + at.c0;
      if (own == (1u << run) - 1) {
#pragma unroll
        for (int m = 0; m < run; ++m) a.grams[to + m * down] = E::store(totals[m]);
      } else {
#pragma unroll
        for (int m = 0; m < run; ++m)
          if (own >> m & 1) a.grams[to + m * down] = E::store(totals[m]);
      }
      // What the last row is padded with.
      for (int m = 0; row == s.hb && m < run; ++m)
        if (at.i0 + m < slots.gram_width() && at.c0 + m >= s.wb && at.c0 + m < s.wb + s.row_stride - s.Q)
          a.grams[to + m * down] = E::store(0.f);
    }
    gram_group += stretch.steps, u += stretch.steps;
  }
}

template <class E>
Outcome launch_gradient_walk(const GradientWalk<E>& a, const Shape& s, int samples, void* stream) {
  const GradientRuns runs = GradientRuns::of(s, a.slots);
  // All along x, since the other axes of a grid end at 65535.
  const dim3 grid(runs.blocks() * (s.hb + a.slots.gram_groups() - 1), 1, samples), block(GradientRuns::threads);
  if (s.fuse_radius == 0) return GICA_LAUNCH((walk_gradients<E, false>), grid, block, 0, stream, a, s);
  return GICA_LAUNCH((walk_gradients<E, true>), grid, block, 0, stream, a, s);
}

}  // namespace gica::cuda
