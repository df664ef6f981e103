// The walk of every family: its products are those of single warps (mma.sync, or the plain units for float32).
#pragma once

#include "common/walk.h"

namespace gica::cuda {

// The product is cut into units of 16 background by 24 foreground positions, which the warps take in turn: few
// accumulators leave the registers to the sums that stay.
template <class E, int rows, int columns, int warps>
struct WarpProduct {
  using Stored = typename E::Stored;
  using Background = OperandTile<E, columns, Lines::along_depth>;
  using Foreground = OperandTile<E, rows, Lines::along_depth>;
  static constexpr int alignment = 16;
  static constexpr bool scores_in_shared = false;
  static constexpr int unit_tiles = 3, units_across = rows / (8 * unit_tiles), units = columns / 16 * units_across;

  // Before the barrier behind which others read them.
  static __device__ __forceinline__ void wait_for_operands() { cp_async_wait<0>(); }

  // store(background, foreground, first, second): the products of a position with two neighbours of the foreground.
  template <class Store>
  static __device__ __forceinline__ void multiply(const Stored* operands, int steps, const Store& store) {
    for (int unit = threadIdx.x / 32; unit < units; unit += warps) {
      const int row = unit / units_across * 16, column = unit % units_across * 8 * unit_tiles;
      Accumulators<E, Background, Foreground, 1, unit_tiles> sums;
      for (int step = 0; step < steps; ++step) {
        const auto* at = operands + step * (Background::elements + Foreground::elements);
        sums.add(at, at + Background::elements, row, column);
      }
      sums.each_pair(row, column, store);
    }
  }
};

// Wide tiles bring each operand in for more products; narrow ones fit more maps, and into less shared memory.
template <class E>
using WideWalk = WalkShape<WarpProduct, E, 128, 12>;
template <class E>
using NarrowWalk = WalkShape<WarpProduct, E, 64, 6>;

// Whether the walk takes this problem. It counts the elements of a map in 32 bits.
template <class E>
bool walk_takes(const Shape& s, const Device& device) {
  if (int64_t{larger(s.P, s.Q)} * s.depth >= int64_t{1} << 32) return false;
  return s.box_radius == 1 && s.fuse_radius <= 1 && NarrowWalk<E>::fits(s.depth, device);
}

// Steps of the walks down a strip: a tile is as wide as it is, and every walk begins before its first row.
inline double walk_cost(const Shape& s, const Rect& strip) {
  constexpr int rows = WideWalk<Float32>::rows;
  return double((strip.width() + rows - 1) / rows) * (strip.height() + 2 + 2 * s.fuse_radius);
}

template <class E>
bool walk_is_wide(const Shape& s, const Device& device) {
  using Wide = WideWalk<E>;
  return Wide::fits(s.depth, device) && columns_brought<Wide>(s) <= columns_brought<NarrowWalk<E>>(s);
}

template <Walked walked, class E>
Outcome walk(const WalkArguments<E>& a, const Shape& s, const Rect& strip, int samples, const Device& device,
             void* stream) {
  if (walk_is_wide<E>(s, device)) return launch_walk<WideWalk<E>, walked>(a, s, strip, samples, stream);
  return launch_walk<NarrowWalk<E>, walked>(a, s, strip, samples, stream);
}

}  // namespace gica::cuda
