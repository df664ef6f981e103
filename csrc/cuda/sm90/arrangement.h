// The orders in which tiles, columns and live blocks are worked through.
#pragma once

#include <cstring>

#include "sm90/entries.h"

namespace gica::cuda {

// The order in which tiles are grouped: through pairs of rows column by column, so that four in succession mostly lie
// two by two. What neighbours attend to is much the same.
GICA_HOST_DEVICE inline int tile_in_order(const TileTable& tiles, int index) {
  if (index >= tiles.whole()) return index;
  const int row = index / (2 * tiles.across()) * 2, inside = index - row * tiles.across();
  const int rows = smaller(2, tiles.down() - row);
  return (row + inside % rows) * tiles.across() + inside / rows;
}

// A thread's sums of a product of four warps are 8 groups of 8 and 8 (two rows); in memory they shall be 8 channels
// side by side. So the columns of 32 are multiplied in another order: column `i` of the product is this one of the
// pixels'.
GICA_HOST_DEVICE inline int column_multiplied(int i) {
  return i / 32 * 32 + i / 2 % 4 * 8 + i / 8 % 4 * 2 + i % 2;
}

// An entry of the list: a background tile, and a bit for each tile of the group whose block with it is live.
struct Entry {
  int tile, live;
  static GICA_HOST_DEVICE Entry of(int packed) { return {packed / 16, packed % 16}; }
  GICA_HOST_DEVICE int packed() const { return tile * 16 + live; }
};
static_assert(kSharingTiles <= 4, "bits of an entry");

// In one store.
template <class T>
__device__ __forceinline__ void store_16_bytes(T* to, const T (&values)[8]) {
  static_assert(sizeof values == 16);
  uint4 packed;
  memcpy(&packed, values, 16);
  *reinterpret_cast<uint4*>(to) = packed;
}

}  // namespace gica::cuda
