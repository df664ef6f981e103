// The runs of a walk: diagonals of eight that a thread reads of each tile of products, their sums from step to step,
// and where the finished ones go.
#pragma once

#include "common/walk_shape.h"

namespace gica::cuda {

// What a thread keeps of one of its runs from step to step. Index m of the patch sums is element m - 1 of the run.
template <class K>
struct Run {
  static constexpr int length = K::run;
  float patch_two[length + 2], patch_one[length + 2];  // row sums of the last two steps together, of the last
  float score_two[length], score_one[length];          // the same of the row-major sums
};

// What stays the same down a walk, a bit for each element of a run.
struct RunBits {
  unsigned bits = 0;
  // May the patch of element m - 1 reach to the left, or to the right?
  __device__ __forceinline__ bool left(int m) const { return bits >> m & 1; }
  __device__ __forceinline__ bool right(int m) const { return bits >> (10 + m) & 1; }
  __device__ __forceinline__ bool reach_everywhere() const { return (~bits & 0xFFFFF) == 0; }
  // Elements in the strip, in the tile and in the background's row.
  __device__ __forceinline__ unsigned own() const { return bits >> 20; }
};

template <class K>
class RunsOfThread {
 public:
  static constexpr int run = K::run, halo = K::halo;

  // In shared memory. Threads have bits for each of their runs, and of `last`, where the shape has room for it, a
  // number for each element.
  __device__ __forceinline__ RunsOfThread(const float* tile, const float* norms, const uint8_t* flags, RunBits* bits,
                                          float* last)
      : tile_(tile), norms_(norms), flags_(flags), bits_(bits + threadIdx.x), last_(last + threadIdx.x) {
#pragma unroll
    for (int r = 0; r < K::runs_each; ++r)
#pragma unroll
      for (int k = 0; k < run; ++k) runs_[r].score_two[k] = last_score(r, k) = 0;
  }

  __device__ __forceinline__ static int first_row(int index) { return index / K::runs_across * run; }
  __device__ __forceinline__ static int first_column(int index) { return index % K::runs_across - (run - 1); }

  // At the start of a walk and where its base jumps: which taps exist, and nothing summed yet.
  __device__ __forceinline__ void start(const Walk& walk, const Shape& s, const Rect& strip) {
#pragma unroll
    for (int r = 0; r < K::runs_each; ++r) {
      const int index = index_of(r);
      const uint8_t* rows = flags_ + first_row(index) + halo - 1;
      const uint8_t* columns = flags_ + K::tile_rows + run + first_column(index) + halo - 1;
      const int rows_left = strip.x1 - walk.x - first_row(index);
      const int columns_left = min(K::columns, s.wb - walk.v) - first_column(index);
      const int begin = max(0, -first_column(index)), end = min(run, min(rows_left, columns_left));
      unsigned bits = end > begin ? (1u << end) - (1u << begin) << 20 : 0;
#pragma unroll
      for (int m = 0; m < run + 2; ++m) {
        const unsigned both = rows[m] & columns[m];
        bits |= (both & 1) << m | (both >> 1 & 1) << (10 + m);
      }
      bits_[r * K::threads].bits = bits;
    }
  }

  // tap: -1, 0 or 1, the row of the patch that the tile in shared memory is. With 1 `finish` gets the patch scores.
  template <class Finish>
  __device__ __forceinline__ void add(int tap, const Finish& finish) {
#pragma unroll
    for (int r = 0; r < K::runs_each; ++r) {
      Run<K>& state = runs_[r];
      const int index = index_of(r);
      const RunBits bits = bits_[r * K::threads];
      float sums[run + 2];
      row_sums(bits, index, sums);
      if (tap < 0) {
#pragma unroll
        for (int m = 0; m < run + 2; ++m) state.patch_two[m] = sums[m];
      } else if (tap == 0) {
#pragma unroll
        for (int m = 0; m < run + 2; ++m) state.patch_two[m] += sums[m], state.patch_one[m] = sums[m];
      } else {
        float scores[run + 2];
        const float* norms = norms_ + run + first_column(index) + halo - 1;
#pragma unroll
        for (int m = 0; m < run + 2; ++m) {
          scores[m] = (state.patch_two[m] + sums[m]) * norms[m];
          state.patch_two[m] = state.patch_one[m] + sums[m], state.patch_one[m] = sums[m];
        }
        finish(r, index, is_real(r), bits.own(), scores);
      }
    }
  }

  // Row-major sums of a run, then column-major ones: the finished scores of the pair of rows before.
  template <bool fuse>
  __device__ __forceinline__ void finish(int r, int index, const float (&scores)[run + 2], const Walk& walk,
                                         const WalkCell& cell, float (&totals)[run]) {
    const int i0 = first_row(index), c0 = first_column(index);
#pragma unroll
    for (int k = 0; k < run; ++k) totals[k] = fuse ? scores[k] + scores[k + 1] + scores[k + 2] : scores[k + 1];
    if constexpr (fuse) {
      if (cell.end_f >= 0 || cell.end_b >= 0) {
#pragma unroll
        for (int k = 0; k < run; ++k)
          if (walk.x + i0 + k == cell.end_f || walk.v + c0 + k == cell.end_b) totals[k] = 0;
      }
#pragma unroll
      for (int k = 0; k < run; ++k) {
        float &two = runs_[r].score_two[k], &one = last_score(r, k);
        const float three = two + totals[k];
        two = one + totals[k], one = totals[k];
        totals[k] = three;
      }
    }
  }

 private:
  __device__ __forceinline__ float& last_score(int r, int k) {
    if constexpr (K::Multiply::scores_in_shared)
      return last_[(r * run + k) * K::threads];
    else
      return runs_[r].score_one[k];
  }

  // Some threads have a run too many: it is the last one again, which has no elements of its own.
  __device__ __forceinline__ static int index_of(int r) {
    return is_real(r) ? threadIdx.x + r * K::threads : K::runs - 1;
  }
  __device__ __forceinline__ static bool is_real(int r) {
    return static_cast<int>(threadIdx.x) + r * K::threads < K::runs;
  }

  __device__ __forceinline__ void row_sums(RunBits bits, int index, float (&sums)[run + 2]) const {
    const float* at = tile_ + (first_row(index) + halo) * K::stride + first_column(index) + halo;
    const auto product = [&](int m) { return at[(m - 1) * (K::stride + 1)]; };
    float before = product(-1), here = product(0);
    if (bits.reach_everywhere()) {
#pragma unroll
      for (int m = 0; m < run + 2; ++m) {
        const float next = product(m + 1);
        sums[m] = here + before + next;
        before = here, here = next;
      }
    } else {
#pragma unroll
      for (int m = 0; m < run + 2; ++m) {
        const float next = product(m + 1);
        sums[m] = here + (bits.left(m) ? before : 0.f) + (bits.right(m) ? next : 0.f);
        before = here, here = next;
      }
    }
  }

  const float *tile_, *norms_;
  const uint8_t* flags_;
  RunBits* bits_;
  float* last_;
  Run<K> runs_[K::runs_each];
};

// Where the run's elements of the step's pair of rows go: the row of the strip, and which are its own, a bit each.
template <class K>
struct Finished {
  int row;
  unsigned own, first, down;

  __device__ __forceinline__ Finished(int index, unsigned own_, const Walk& walk, int step, const Shape& s,
                                      const Rect& strip)
      : own(own_) {
    const int i0 = RunsOfThread<K>::first_row(index), c0 = RunsOfThread<K>::first_column(index);
    row = (walk.y0 + step - strip.y0) * strip.width() + walk.x - strip.x0 + i0;
    // A strip has fewer than 2^32 scores (select.cpp).
    first = static_cast<unsigned>(row) * s.row_stride + (walk.u0 + step) * s.wb + walk.v + c0;
    down = s.row_stride + 1;
  }

  template <class T, class Convert>
  __device__ __forceinline__ void store(const float (&values)[K::run], T* to, const Convert& convert) const {
    if (own == (1u << K::run) - 1) {
#pragma unroll
      for (int k = 0; k < K::run; ++k) to[first + k * down] = convert(values[k]);
    } else {
#pragma unroll
      for (int k = 0; k < K::run; ++k)
        if (own >> k & 1) to[first + k * down] = convert(values[k]);
    }
  }
};

// Weights in place of scores. real: whether the thread has this run, and not the last one again.
template <class K>
__device__ __forceinline__ void store_weights(int index, bool real, unsigned own, const Walk& walk, int step,
                                              const Shape& s, const Rect& strip, const typename K::ValidColumns& valid,
                                              float (&totals)[K::run], typename K::Stored* weights, Piece* pieces) {
  const int c0 = RunsOfThread<K>::first_column(index), bit = c0 + K::halo + 32;
  const uint32_t* words = valid.bits[step & 1] + bit / 32;
  Piece piece;
  piece.max = weigh(s, own & __funnelshift_r(words[0], words[1], bit), totals);
  __syncwarp();
  const Finished<K> to(index, own, walk, step, s, strip);
  to.store(totals, weights, [](float x) { return K::E::store(x); });
  piece.sum = fold_across(totals, [](float a, float b) { return a + b; });
  const int shift = threadIdx.x % K::run, x = walk.x + RunsOfThread<K>::first_row(index) + shift;
  if (real && x < strip.x1) {
    const PieceGrid grid = PieceGrid::of(s, K::columns);
    const int at = (walk.u0 + step) * grid.across() + walk.v / K::columns * grid.of_tile() + (c0 + K::run - 1) / K::run;
    pieces[static_cast<unsigned>(to.row + shift) * grid.count(s) + at] = piece;
  }
}

// The patch scores of a run at their slots: those of the run's own elements and of their neighbours on the diagonal.
// Two blocks may store the same score.
template <class K, bool fuse>
__device__ __forceinline__ void keep_scores(int index, unsigned own, const float (&patches)[K::run + 2],
                                            const Walk& walk, const WalkCell& cell, int step, const Shape& s,
                                            const Rect& slots, typename K::Stored* kept) {
  const int y = walk.y0 + step;
  if (own == 0 || y < slots.y0 || y >= slots.y1) return;
  const unsigned wanted = fuse ? own | own << 1 | own << 2 : own << 1;
  const int q = cell.q + RunsOfThread<K>::first_column(index) - 1, x = walk.x + RunsOfThread<K>::first_row(index) - 1;
  const int begin = max(-q, slots.x0 - x), end = min(s.Q - q, slots.x1 - x);
  const unsigned row = slots.index(y, x);
  const unsigned first = row * s.row_stride + q, down = s.row_stride + 1;
#pragma unroll
  for (int m = 0; m < K::run + 2; ++m)
    if (wanted >> m & 1 && m >= begin && m < end) kept[first + m * down] = K::E::store(patches[m]);
}

}  // namespace gica::cuda
