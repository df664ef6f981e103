// From propagated scores to attention, one row (foreground position) at a time.
#pragma once

#include "common/element.h"
#include "common/ptx.h"
#include "common/reduce.h"
#include "common/samples.h"
#include "common/tiles.h"

namespace gica::cuda {

constexpr float kInfinity = __builtin_huge_valf();
constexpr int kRowThreads = 256;

// What a row leaves outside: pointers may be null, and are those of the sample.
struct RowOutputs {
  float* max;        // [P] of scale * score
  float* sum;        // [P]
  int64_t* offsets;  // [2][P]
  float* scores;     // [P] score at the arg-max

  // From those of the launch's first sample.
  __device__ __forceinline__ RowOutputs of_sample(const Shape& s) const {
    const size_t rows = static_cast<size_t>(blockIdx.z) * s.P;
    return {max ? max + rows : nullptr, sum ? sum + rows : nullptr, offsets ? offsets + 2 * rows : nullptr,
            scores ? scores + rows : nullptr};
  }
};

struct RowInputs {
  const uint8_t* wanted;     // [P]
  const uint8_t* valid;      // [Q]
  const int* invalid_count;  // how many are not

  // Masked positions that stay in the denominator, as exp(0).
  __device__ __forceinline__ int kept(const Shape& s) const {
    return s.semantics == Semantics::mmagic ? 0 : *invalid_count;
  }
  __device__ __forceinline__ RowInputs of_sample(const Shape& s) const {
    using gica::cuda::of_sample;
    return {of_sample(wanted, s), of_sample(valid, s), of_sample(invalid_count, s)};
  }
};

struct Largest {
  float score;
  int q;
};
// The lowest position of the largest score; NaN counts as larger than any number.
__device__ __forceinline__ bool before(const Largest& a, const Largest& b) {
  const bool a_nan = a.score != a.score, b_nan = b.score != b.score;
  if (a_nan || b_nan) return a_nan && (!b_nan || a.q < b.q);
  return a.score > b.score || (a.score == b.score && a.q < b.q);
}

// Every thread gets the block's first largest valid score; q is Q and the score -inf where none is valid.
__device__ __forceinline__ Largest find_largest(const float* row, const RowInputs& in, const Shape& s) {
  __shared__ float best_scores[kRowThreads];
  __shared__ int best_at[kRowThreads];
  Largest best = {-kInfinity, s.Q};
  for (int q = threadIdx.x; q < s.Q; q += kRowThreads)
    if (in.valid[q] && before({row[q], q}, best)) best = {row[q], q};
  best_scores[threadIdx.x] = best.score, best_at[threadIdx.x] = best.q;
  __syncthreads();
  for (int half = kRowThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) {
      const Largest other = {best_scores[threadIdx.x + half], best_at[threadIdx.x + half]};
      if (before(other, {best_scores[threadIdx.x], best_at[threadIdx.x]}))
        best_scores[threadIdx.x] = other.score, best_at[threadIdx.x] = other.q;
    }
    __syncthreads();
  }
  return {best_scores[0], best_at[0]};
}

__device__ __forceinline__ void write_largest(const Largest& best, bool wanted, const Shape& s, int p,
                                              const RowOutputs& out) {
  if (threadIdx.x != 0) return;
  const bool found = best.q < s.Q;
  if (out.offsets) {
    out.offsets[p] = !wanted ? -1 : found ? best.q / s.wb : 0;
    out.offsets[s.P + p] = !wanted ? -1 : found ? best.q % s.wb : 0;
  }
  if (out.scores) out.scores[p] = wanted && found ? best.score : -kInfinity;
}

__device__ __forceinline__ int row_position(const Rect& positions, const Shape& s, int row) {
  return (positions.y0 + row / positions.width()) * s.wf + positions.x0 + row % positions.width();
}

// What goes into the softmax, rounded: the maximum and the sum of a row are those of rounded values, and fit no others.
__device__ __forceinline__ float scaled(const Shape& s, float score) {
  return __fmul_rn(s.softmax_scale, score);
}

constexpr int kChunk = 8;  // positions of a background row whose maximum is kept
__host__ __device__ inline int chunks_across(const Shape& s) {
  return (s.wb + kChunk - 1) / kChunk;
}

// use(score) of eight positions of a background row; `none` where there are none, or they may not be copied.
template <class Use>
__device__ __forceinline__ void load_scores(const float* row, const RowInputs& in, const Shape& s, int q, int count,
                                            float (&values)[kChunk], float none, const Use& use) {
  if (s.wb % kChunk == 0) {
    load_eight(row + q, values);
    const uint2 valid = *reinterpret_cast<const uint2*>(in.valid + q);
#pragma unroll
    for (int k = 0; k < kChunk; ++k) values[k] = (k < 4 ? valid.x : valid.y) >> k % 4 * 8 & 1 ? use(values[k]) : none;
  } else {
#pragma unroll
    for (int k = 0; k < kChunk; ++k) values[k] = k < count && in.valid[q + k] ? use(row[q + k]) : none;
  }
}

// As __expf, but what would be subnormal is 0, which spares the steps around it.
__device__ __forceinline__ float exponential(float x) {
  return exp2_approx(x * 1.4426950408889634f);
}

// The attention of a strip: its propagated scores, and of every row the maximum and the sum of the exponentials. A row
// that is not asked for has the sum 0, and its scores are not written.
struct Attention {
  const float* scores;  // [row of the strip][row_stride]
  Rect positions;
  const float *max, *sum;  // [P]
  RowInputs in;

  __device__ __forceinline__ Attention of_sample(const Shape& s) const {
    const size_t rows = static_cast<size_t>(blockIdx.z) * s.P;
    return {gica::cuda::of_sample(scores, s), positions, max + rows, sum + rows, in.of_sample(s)};
  }
  __device__ __forceinline__ const float* row(const Shape& s, int y, int x) const {
    return scores + static_cast<size_t>(positions.index(y, x)) * s.row_stride;
  }
  // What the exponentials of a row are multiplied with. NaN stays NaN.
  static __device__ __forceinline__ float factor(float sum) { return sum == 0 ? 0.f : 1 / sum; }
  __device__ __forceinline__ float weight(const Shape& s, float score, float max_of_row, float factor_of_row) const {
    return exponential(scaled(s, score) - max_of_row) * factor_of_row;
  }
  // From position (y, x) to (u, v).
  __device__ __forceinline__ float at(const Shape& s, int y, int x, int u, int v) const {
    const int p = y * s.wf + x, q = u * s.wb + v;
    const float total = sum[p];
    return total != 0 && in.valid[q] ? weight(s, row(s, y, x)[q], max[p], 1 / total) : 0.f;
  }

  // What goes out from one position, if it lies in the strip.
  struct Row {
    const float* scores;
    float max, factor;
    __device__ __forceinline__ bool exists() const { return scores; }
  };
  __device__ __forceinline__ Row row_at(const Shape& s, int y, int x) const {
    const int p = y * s.wf + x;
    if (!positions.contains(y, x) || sum[p] == 0) return {nullptr, 0.f, 0.f};
    return {row(s, y, x), max[p], factor(sum[p])};
  }
  // To eight positions of a background row, of which `count` exist.
  __device__ __forceinline__ void load_chunk(const Shape& s, const Row& row, int q, int count,
                                             float (&weights)[kChunk]) const {
    load_scores(row.scores, in, s, q, count, weights, 0.f,
                [&](float score) { return weight(s, score, row.max, row.factor); });
  }
  // To the position in front of (u, v), and to the eight from there on; 0 where the row has none. v: a multiple of 8.
  __device__ __forceinline__ void load_nine(const Shape& s, const Row& row, int u, int v, float (&weights)[9]) const {
    const int q = u * s.wb + v;
    weights[0] = v > 0 && in.valid[q - 1] ? weight(s, row.scores[q - 1], row.max, row.factor) : 0.f;
    float eight[kChunk];
    load_chunk(s, row, q, min(kChunk, s.wb - v), eight);
#pragma unroll
    for (int k = 0; k < kChunk; ++k) weights[k + 1] = eight[k];
  }
};

// What the attention of a row towards a tile of the background's grid is at most. The tile's positions and the one in
// front of each touch two chunks in nine rows; tiles of left-over positions are not looked at.
__device__ __forceinline__ float largest_of_tile(const float* chunk_max, const TileTable& tiles, int tile,
                                                 float largest_of_row, const Shape& s) {
  if (tile >= tiles.whole()) return largest_of_row;
  const int u0 = tile / tiles.across() * kTile, c0 = tile % tiles.across(), chunks = chunks_across(s);
  float most = -kInfinity;
  for (int u = max(u0 - 1, 0); u < min(u0 + kTile, s.hb); ++u)
    for (int c = max(c0 - 1, 0); c <= min(c0, chunks - 1); ++c) most = fmaxf(most, chunk_max[u * chunks + c]);
  return most;
}

// What goes into the exponentials of a row at most, what they are relative to, and their sum.
struct RowTotal {
  float largest, max, sum;
};

// From the maximum and the sum of each thread's part of the row. kept: masked positions that stay in the denominator.
// Every thread of the block gets the result; what was written to shared memory before is known to all then.
__device__ __forceinline__ RowTotal fold_row(float own_max, float own_sum, int kept, float* room) {
  RowTotal total;
  total.largest = fold_block(own_max, room, [](float a, float b) { return fmaxf(a, b); });
  // Where nothing is valid every exponential is left out, and the sum is 0 or that of the masked ones.
  total.max = kept > 0 ? fmaxf(total.largest, 0.f) : total.largest == -kInfinity ? 0.f : total.largest;
  const float part = own_sum == 0 ? 0.f : own_sum * exponential(own_max - total.max);
  total.sum = fold_block(part, room, [](float a, float b) { return a + b; });
  if (kept > 0) total.sum += kept * exponential(-total.max);
  return total;
}

struct RowSummary {
  float* chunk_max;  // [row][background rows * chunks]
  float* bounds;     // [row][background tiles]: the largest attention that enters a tile
};

// One block per row of the strip: the maximum and sum of its softmax, and bounds of its attention. Masked positions
// stay in the denominator as exp(0), except in mmagic's variant.
static __global__ void summarise_rows(const float* scores, Rect positions, RowInputs in, Shape s, TileTable background,
                                      RowSummary to, RowOutputs out) {
  __shared__ float room[kRowThreads / 32];
  in = in.of_sample(s), out = out.of_sample(s);
  const int p = row_position(positions, s, blockIdx.x), chunks = chunks_across(s);
  const float* row = of_sample(scores, s) + static_cast<size_t>(blockIdx.x) * s.row_stride;
  float* chunk_max = of_sample(to.chunk_max, s) + static_cast<size_t>(blockIdx.x) * s.hb * chunks;
  float* bounds = of_sample(to.bounds, s) + static_cast<size_t>(blockIdx.x) * background.count();
  const bool wanted = in.wanted[p];
  if (out.offsets) write_largest(wanted ? find_largest(row, in, s) : Largest{-kInfinity, s.Q}, wanted, s, p, out);
  if (!wanted) {
    for (int tile = threadIdx.x; tile < background.count(); tile += kRowThreads) bounds[tile] = 0;
    if (threadIdx.x == 0) out.max[p] = out.sum[p] = 0;
    return;
  }
  float own_max = -kInfinity, own_sum = 0;
  for (int item = threadIdx.x; item < s.hb * chunks; item += kRowThreads) {
    const int u = item / chunks, v = item % chunks * kChunk;
    float z[kChunk], most = -kInfinity;
    load_scores(row, in, s, u * s.wb + v, min(kChunk, s.wb - v), z, -kInfinity,
                [&](float score) { return scaled(s, score); });
#pragma unroll
    for (int k = 0; k < kChunk; ++k) most = fmaxf(most, z[k]);
    chunk_max[item] = most;
    if (most > own_max) own_sum *= exponential(own_max - most), own_max = most;
#pragma unroll
    for (int k = 0; k < kChunk; ++k)
      if (z[k] != -kInfinity) own_sum += exponential(z[k] - own_max);
  }
  const RowTotal total = fold_row(own_max, own_sum, in.kept(s), room);
  const float factor = Attention::factor(total.sum);
  for (int tile = threadIdx.x; tile < background.count(); tile += kRowThreads)
    bounds[tile] = exponential(largest_of_tile(chunk_max, background, tile, total.largest, s) - total.max) * factor;
  if (threadIdx.x == 0) out.max[p] = total.max, out.sum[p] = total.sum;
}

// The arg-max of every row and its score.
static __global__ void match_rows(const float* rows, Rect positions, RowInputs in, Shape s, RowOutputs out) {
  in = in.of_sample(s), out = out.of_sample(s);
  const int p = row_position(positions, s, blockIdx.x);
  const bool wanted = in.wanted[p];
  Largest best = {-kInfinity, s.Q};
  if (wanted) best = find_largest(of_sample(rows, s) + static_cast<size_t>(blockIdx.x) * s.row_stride, in, s);
  write_largest(best, wanted, s, p, out);
}

}  // namespace gica::cuda
