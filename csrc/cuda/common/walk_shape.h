// What a walk is: its tiles and their room in shared memory, the rows that it passes, what it reads and leaves behind.
#pragma once

#include "common/pieces.h"
#include "common/product.h"
#include "common/samples.h"

namespace gica::cuda {

// The operands of one step of the walk lie in shared memory whole, a tile of each for every step of depth. How they lie
// there, and which instructions multiply them, is the Product's: WarpProduct (sm80), WarpgroupProduct (sm90).
template <template <class E, int rows, int columns, int warps> class Product, class E_, int columns_, int warps_>
struct WalkShape {
  using E = E_;
  using Stored = typename E::Stored;
  static constexpr int halo = 2, run = 8, warps = warps_, threads = 32 * warps;
  static constexpr int rows = 64, columns = columns_;  // foreground and background positions that a step finishes
  static constexpr int tile_rows = 72, tile_columns = (columns + 2 * halo + 15) / 16 * 16;  // with halo
  using Multiply = Product<E, tile_rows, tile_columns, warps>;
  using Background = typename Multiply::Background;
  using Foreground = typename Multiply::Foreground;
  static constexpr int stride = (tile_columns + 11) / 16 * 16 + 4;  // 4 mod 16: the product's stores meet no bank twice
  static constexpr int blocks = columns <= 64 ? 2 : 1;              // of a multiprocessor
  // A run of 8 on a diagonal starts up to 7 columns before the tile.
  static constexpr int runs_across = columns + run, runs = rows / run * runs_across;  // whole pieces (pieces.h)
  static constexpr int runs_each = (runs + threads - 1) / threads;

  // Which columns of the tile may be copied, in two rows of the background, whose scores are finished one step later: a
  // bit each, behind a word that stands for what lies in front.
  struct ValidColumns {
    static constexpr int words = (tile_columns + 31) / 32;
    uint32_t bits[2][words + 2];
  };

  // Shared memory: the tile of products, norms, flags, what threads keep of their runs (runs.h), operands. What a run
  // reads of its tile before its own columns may lie in front of the tile.
  static constexpr int tile_offset = run * 4, norm_offset = tile_offset + tile_rows * stride * 4;
  static constexpr int flag_offset = norm_offset + (tile_columns + run) * 4;
  static constexpr int valid_offset = (flag_offset + tile_rows + tile_columns + 2 * run + 3) / 4 * 4;
  static constexpr int bits_offset = valid_offset + static_cast<int>(sizeof(ValidColumns));
  static constexpr int last_offset = bits_offset + runs_each * threads * 4;
  static constexpr int last_bytes = Multiply::scores_in_shared ? runs_each * run * threads * 4 : 0;
  static constexpr int operand_offset =
      (last_offset + last_bytes + Multiply::alignment - 1) / Multiply::alignment * Multiply::alignment;
  static constexpr int step_elements = Background::elements + Foreground::elements;
  GICA_HOST_DEVICE static constexpr int steps(int depth) { return (depth + kDepth<E> - 1) / kDepth<E>; }
  static constexpr int shared_bytes(int depth) {
    return operand_offset + steps(depth) * step_elements * static_cast<int>(sizeof(Stored));
  }
  // What is not dynamic (walk.h) takes up to the alignment of what is.
  static constexpr bool fits(int depth, const Device& device) {
    return kDynamicSharedAlignment + shared_bytes(depth) <= device.shared_bytes;
  }
};

// One step of a walk: the flat positions of the tile's corner in both maps, without halo. A column whose neighbour in
// column-major order does not exist is named in end_f, end_b; -1: none.
struct WalkCell {
  int p, q, end_f, end_b;
};

// A diagonal of (foreground row, background row) pairs inside the strip: the first rows, the number of pairs, the
// tile's first columns.
struct Walk {
  int y0, u0, count, x, v;

  static __device__ __forceinline__ int above(int row, int column, int height, int width, int* end) {
    if (row > 0) return (row - 1) * width + column;
    *end = 0;
    return (height - 1) * width + column - 1;
  }
  static __device__ __forceinline__ int below(int row, int column, int height, int width, int* end) {
    if (row < height - 1) return (row + 1) * width + column;
    *end = width - 1;
    return column + 1;
  }
  // Steps -1 and `count` are the column-major neighbours of the first and the last pair.
  __device__ __forceinline__ WalkCell cell(int step, const Shape& s) const {
    WalkCell c = {0, 0, -1, -1};
    if (step < 0) {
      c.p = above(y0, x, s.hf, s.wf, &c.end_f), c.q = above(u0, v, s.hb, s.wb, &c.end_b);
    } else if (step == count) {
      c.p = below(y0 + count - 1, x, s.hf, s.wf, &c.end_f), c.q = below(u0 + count - 1, v, s.hb, s.wb, &c.end_b);
    } else {
      c.p = (y0 + step) * s.wf + x, c.q = (u0 + step) * s.wb + v;
    }
    return c;
  }
};

// Whether patches may reach to the left (1) and to the right (2) of a position in its row.
__device__ __forceinline__ uint8_t reach(int position, int width) {
  const int rest = position % width, x = rest < 0 ? rest + width : rest;
  return (x > 0 ? 1 : 0) | (x < width - 1 ? 2 : 0);
}

// What a walk leaves behind: propagated[row of the strip][q]; with them kept[slot][q], the patch scores, where a
// gradient can reach them; or weights and their pieces.
enum class Walked { scores, scores_and_patches, weights };

template <class E>
struct WalkArguments {
  const typename E::Stored *f, *b;
  const float* reciprocal_norm;
  const uint8_t *wanted, *valid;
  float* propagated;
  typename E::Stored *kept, *weights;
  Piece* pieces;
  Rect kept_slots;  // the strip positions whose patch scores are kept, row by row; they may lie outside of it

  __device__ __forceinline__ WalkArguments of_sample(const Shape& s) const {
    using gica::cuda::of_sample;
    return {of_sample(f, s),
            of_sample(b, s),
            of_sample(reciprocal_norm, s),
            of_sample(wanted, s),
            of_sample(valid, s),
            of_sample(propagated, s),
            of_sample(kept, s),
            of_sample(weights, s),
            of_sample(pieces, s),
            kept_slots};
  }
};

}  // namespace gica::cuda
