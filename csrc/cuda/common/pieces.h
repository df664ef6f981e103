// Attention of a strip in 16 bits: weights, exponentials relative to the largest of their piece.
//
// Eight neighbouring lanes of a walk hold eight neighbouring diagonals. What these hold of a row is a *piece*: eight
// positions of the background's row, or fewer at the edges of a tile; in every row further down a run they lie one
// further to the right. Next to the weights, each piece has the maximum that they are relative to, and their sum; once
// the row's are known, the maximum makes way for the factor that turns weights into attention.
#pragma once

#include "common/element.h"
#include "common/softmax.h"

namespace gica::cuda {

// Where a row's pieces lie: [background row][tile of the walk][piece].
struct PieceGrid {
  static constexpr int run = 8;
  int log_columns;  // of a tile
  int tiles;        // of a background row

  GICA_HOST_DEVICE static PieceGrid of(const Shape& s, int columns) {
    int log_columns = 0;
    while (1 << log_columns < columns) ++log_columns;
    return {log_columns, (s.wb + columns - 1) / columns};
  }
  GICA_HOST_DEVICE int of_tile() const { return (1 << log_columns) / run + 1; }
  GICA_HOST_DEVICE int across() const { return tiles * of_tile(); }
  GICA_HOST_DEVICE int count(const Shape& s) const { return s.hb * across(); }
  // The piece of position (u, v). shift: how far down its run the row lies.
  GICA_HOST_DEVICE int at(int u, int v, int shift) const {
    const int column = v & ((1 << log_columns) - 1);
    return u * across() + (v >> log_columns) * of_tile() +
           static_cast<int>(static_cast<unsigned>(column + run - 1 - shift) / run);
  }
};

struct Piece {
  float max;  // -inf where nothing of the piece may be copied; later the factor
  float sum;
};

// As Attention is of scores.
template <class E>
struct PieceAttention {
  using Stored = typename E::Stored;
  const Stored* weights;  // [row of the strip][row_stride]
  const Piece* pieces;    // [row of the strip][grid.count]
  PieceGrid grid;
  Rect positions;
  const float* sum;  // [P]

  __device__ __forceinline__ PieceAttention of_sample(const Shape& s) const {
    using gica::cuda::of_sample;
    return {of_sample(weights, s), of_sample(pieces, s), grid, positions, sum + static_cast<size_t>(blockIdx.z) * s.P};
  }

  struct Row {
    const Stored* weights;
    const Piece* pieces;
    int shift;
    __device__ __forceinline__ bool exists() const { return weights; }
  };
  __device__ __forceinline__ Row row_at(const Shape& s, int y, int x) const {
    if (!positions.contains(y, x) || sum[y * s.wf + x] == 0) return {nullptr, nullptr, 0};
    const size_t row = positions.index(y, x);
    return {weights + row * s.row_stride, pieces + row * grid.count(s), (x - positions.x0) % PieceGrid::run};
  }
  __device__ __forceinline__ float weight(const Shape& s, const Row& row, int u, int v) const {
    return to_float(row.weights[u * s.wb + v]) * row.pieces[grid.at(u, v, row.shift)].max;
  }
  __device__ __forceinline__ void load_nine(const Shape& s, const Row& row, int u, int v, float (&weights)[9]) const {
    weights[0] = v > 0 ? weight(s, row, u, v - 1) : 0.f;
    // The eight are of two pieces, of one where the shift is 7.
    const Piece* pieces = row.pieces + grid.at(u, v, row.shift);
    const float first = pieces[0].max, second = pieces[1].max;
    const Stored* from = row.weights + u * s.wb + v;
    const auto factor = [&](int k) { return k <= row.shift ? first : second; };
    if (s.wb % PieceGrid::run == 0) {
      float eight[PieceGrid::run];
      load_eight(from, eight);
#pragma unroll
      for (int k = 0; k < PieceGrid::run; ++k) weights[k + 1] = eight[k] * factor(k);
    } else {
#pragma unroll
      for (int k = 0; k < PieceGrid::run; ++k) weights[k + 1] = v + k < s.wb ? to_float(from[k]) * factor(k) : 0.f;
    }
  }
  __device__ __forceinline__ float at(const Shape& s, int y, int x, int u, int v) const {
    const Row row = row_at(s, y, x);
    return row.exists() ? weight(s, row, u, v) : 0.f;
  }
};

// Eight values of each of eight neighbouring lanes: each lane gets the values of its own index folded over all eight,
// always in the same order.
template <class Fold>
__device__ __forceinline__ float fold_across(float (&values)[PieceGrid::run], const Fold& fold) {
  const int lane = threadIdx.x;
#pragma unroll
  for (int half = PieceGrid::run / 2; half > 0; half /= 2)
#pragma unroll
    for (int k = 0; k < half; ++k) {
      const float mine = lane & half ? values[k + half] : values[k], other = lane & half ? values[k] : values[k + half];
      values[k] = fold(mine, __shfl_xor_sync(~0u, other, half));
    }
  return values[0];
}

// Turns the totals of a run's elements into weights, in place, and returns the largest exponent of the piece whose row
// is the lane's own index down the run. Every lane takes part. counted: a bit for each element that may be copied.
__device__ __forceinline__ float weigh(const Shape& s, unsigned counted, float (&totals)[PieceGrid::run]) {
  float values[PieceGrid::run];
#pragma unroll
  for (int k = 0; k < PieceGrid::run; ++k) totals[k] = scaled(s, totals[k]);
#pragma unroll
  for (int k = 0; k < PieceGrid::run; ++k) values[k] = totals[k] = counted >> k & 1 ? totals[k] : -kInfinity;
  const float max = fold_across(values, [](float a, float b) { return fmaxf(a, b); });
  const float finite = fmaxf(max, -3.4028234e38f);  // an empty piece's weights are 0
#pragma unroll
  for (int k = 0; k < PieceGrid::run; ++k)
    totals[k] = exponential(totals[k] - __shfl_sync(~0u, finite, k, PieceGrid::run));
  return max;
}

// One block per row of the strip: the maximum and sum of its softmax, the factors of its pieces, and for each tile of
// the background a bound of its attention. As summarise_rows.
static __global__ void summarise_pieces(Piece* all_pieces, PieceGrid grid, Rect positions, RowInputs in, Shape s,
                                        TileTable background, float* all_bounds, RowOutputs out) {
  __shared__ float room[kRowThreads / 32];
  in = in.of_sample(s), out = out.of_sample(s);
  const int p = row_position(positions, s, blockIdx.x), count = grid.count(s);
  Piece* pieces = of_sample(all_pieces, s) + static_cast<size_t>(blockIdx.x) * count;
  float* bounds = of_sample(all_bounds, s) + static_cast<size_t>(blockIdx.x) * background.count();
  if (!in.wanted[p]) {
    for (int tile = threadIdx.x; tile < background.count(); tile += kRowThreads) bounds[tile] = 0;
    if (threadIdx.x == 0) out.max[p] = out.sum[p] = 0;
    return;
  }
  float own_max = -kInfinity, own_sum = 0;
  for (int i = threadIdx.x; i < count; i += kRowThreads) {
    const Piece piece = pieces[i];
    if (piece.max > own_max) own_sum *= exponential(own_max - piece.max), own_max = piece.max;
    if (piece.sum != 0) own_sum += piece.sum * exponential(piece.max - own_max);
  }
  const RowTotal total = fold_row(own_max, own_sum, in.kept(s), room);
  const float factor = Attention::factor(total.sum);
  for (int i = threadIdx.x; i < count; i += kRowThreads)
    pieces[i].max = pieces[i].sum == 0 ? 0.f : exponential(pieces[i].max - total.max) * factor;
  __syncthreads();
  const int shift = (p % s.wf - positions.x0) % PieceGrid::run;
  for (int tile = threadIdx.x; tile < background.count(); tile += kRowThreads) {
    float most = exponential(total.largest - total.max) * factor;
    if (tile < background.whole() && most == most) {
      most = 0;
      const int u0 = tile / background.across() * kTile, v0 = tile % background.across() * kTile;
      const int first = grid.at(0, max(v0 - 1, 0), shift), last = grid.at(0, min(v0 + kTile, s.wb) - 1, shift);
      for (int u = max(u0 - 1, 0); u < min(u0 + kTile, s.hb); ++u)
#pragma unroll
        for (int i = 0; i < 3; ++i)  // nine positions are of three pieces at most
          if (first + i <= last) most = fmaxf(most, pieces[u * grid.across() + first + i].max);
    }
    bounds[tile] = most;
  }
  if (threadIdx.x == 0) out.max[p] = total.max, out.sum[p] = total.sum;
}

}  // namespace gica::cuda
