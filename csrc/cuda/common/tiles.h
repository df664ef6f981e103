// Tiles: 64 positions of an Abar grid each, the unit in which attention is kept or left out and in which it is pasted.
#pragma once

#include "common/shape.h"

namespace gica::cuda {

struct GridPosition {
  int i, j;
};

// A box of the grid cut into tiles of 8 x 8. Rows and columns that are left over are packed 64 at a time behind them:
// the grid is one longer than the map, and tiles with a single row in use would be many.
struct TileTable {
  Rect box;

  GICA_HOST_DEVICE int down() const { return box.height() / kTile; }
  GICA_HOST_DEVICE int across() const { return box.width() / kTile; }
  GICA_HOST_DEVICE int whole() const { return down() * across(); }
  GICA_HOST_DEVICE int left_over() const { return box.area() - whole() * kTileSize; }
  GICA_HOST_DEVICE int count() const { return whole() + (left_over() + kTileSize - 1) / kTileSize; }

  // The grid position in a slot of a tile; false where the slot is empty.
  GICA_HOST_DEVICE bool position(int tile, int slot, GridPosition* at) const {
    if (tile < whole()) {
      at->i = box.y0 + tile / across() * kTile + slot / kTile;
      at->j = box.x0 + tile % across() * kTile + slot % kTile;
      return true;
    }
    int index = (tile - whole()) * kTileSize + slot;
    if (index >= left_over()) return false;
    const int rows = (box.height() - down() * kTile) * box.width();
    if (index < rows) {
      at->i = box.y0 + down() * kTile + index / box.width();
      at->j = box.x0 + index % box.width();
      return true;
    }
    index -= rows;
    const int columns = box.width() - across() * kTile;
    at->i = box.y0 + index / columns;
    at->j = box.x0 + across() * kTile + index % columns;
    return true;
  }

  GICA_HOST_DEVICE bool is_whole(int i, int j) const {
    return i - box.y0 < down() * kTile && j - box.x0 < across() * kTile;
  }

  // Where a grid position of the box lies: tile * 64 + slot.
  GICA_HOST_DEVICE int find(int i, int j) const {
    const unsigned row = i - box.y0, column = j - box.x0;
    if (is_whole(i, j)) {
      const unsigned tile = row / kTile * across() + column / kTile;
      return tile * kTileSize + row % kTile * kTile + column % kTile;
    }
    const int y = row, x = column;
    const int first = whole() * kTileSize;
    if (y >= down() * kTile) return first + (y - down() * kTile) * box.width() + x;
    const int rows = (box.height() - down() * kTile) * box.width();
    return first + rows + y * (box.width() - across() * kTile) + x - across() * kTile;
  }
};

// The map of live blocks that the forward returns names plain tiles, 8 x 8 positions of a whole grid, the last ones
// partly empty: it does not depend on how the grid was cut into strips.
GICA_HOST_DEVICE inline int plain_tiles(const Rect& grid) {
  return (grid.height() + kTile - 1) / kTile * ((grid.width() + kTile - 1) / kTile);
}
GICA_HOST_DEVICE inline int plain_tile(const Rect& grid, int i, int j) {
  return i / kTile * ((grid.width() + kTile - 1) / kTile) + j / kTile;
}
// Entries of one sample's map: [plain tile of the foreground's grid][of the background's].
GICA_HOST_DEVICE inline int64_t map_size(const Shape& s) {
  return int64_t{plain_tiles(s.foreground_grid())} * plain_tiles(s.background_grid());
}

}  // namespace gica::cuda
