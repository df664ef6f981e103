// The pixels of the background as the products of 9.0 read them: a slab for each tile, one row of 64 slots per column.
#pragma once

#include "common/blocks.h"
#include "common/prepare.h"
#include "sm90/arrangement.h"

namespace gica::cuda {

// One block per tile and part of the columns. Each thread writes 16 bytes, eight slots of a column; eight threads side
// by side a whole row.
template <class E>
__global__ void phase_slabs(Image image, int n, TileTable tiles, Shape s, int columns, typename E::Stored* slabs) {
  using Stored = typename E::Stored;
  constexpr int slots = kPerCopy<E>, pieces = kTileSize / slots;
  __shared__ GridPosition at[kTileSize];
  const int parts = columns / kSlabColumns, part = blockIdx.x % parts;
  list_positions(tiles, blockIdx.x / parts, at);
  __syncthreads();
  n = number_of_sample(n);
  Stored* slab = of_sample(slabs, s) + static_cast<size_t>(blockIdx.x) * kSlabColumns * kTileSize;
  for (int i = threadIdx.x; i < kSlabColumns * pieces; i += blockDim.x) {
    const int column = part * kSlabColumns + column_multiplied(i / pieces), first = i % pieces * slots;
    const int phase = column / s.value_depth, c = column % s.value_depth;
    const bool exists = phase < s.phases * s.phases && c < s.value_channels;
    const int down = phase / s.phases - s.before, right = phase % s.phases - s.before;
    alignas(16) Stored values[slots];
#pragma unroll
    for (int k = 0; k < slots; ++k) {
      const GridPosition from = at[first + k];
      const int y = s.phases * from.i + down, x = s.phases * from.j + right;
      const bool inside = exists && from.i >= 0 && y >= 0 && y < image.height && x >= 0 && x < image.width;
      values[k] = E::store(inside ? pixel<Stored>(image, n, c, y, x) : 0.f);
    }
    store_16_bytes(slab + static_cast<size_t>(i) * slots, values);
  }
}

}  // namespace gica::cuda
