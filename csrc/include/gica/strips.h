// Strips: the foreground is worked through in boxes of Abar tiles, each against all of the background, so that the
// scores of one strip, not of the whole problem, are held at a time.
#pragma once

#include "gica/geometry.h"

namespace gica {
namespace {

struct Strip {
  Box tiles;      // tile rows and columns of the Abar grid
  Box grid;       // the grid positions they cover
  Box positions;  // the map positions whose attention they need
};

class StripPlan {
 public:
  // Chooses the strip that costs the least match work within `bytes` of scores. The cost of a strip is that of its Gram
  // blocks: rows and columns grow by the halo of the taps.
  StripPlan(const Geometry& size, int64_t row_bytes, int64_t bytes) : size_(size) {
    const int64_t rows = size.foreground_tiles.rows.count(), columns = size.foreground_tiles.columns.count();
    double best = -1;
    for (int64_t down = 1; down <= rows; ++down)
      for (int64_t across = 1; across <= columns; ++across) {
        const int64_t high = ceil_div(rows, down), wide = ceil_div(columns, across);
        if (strip_positions(high, wide) * row_bytes > bytes && !(high == 1 && wide == 1)) continue;
        const double cost =
            double(down) * double(8 * high + 1 + 2 * size.halo) * double(across) * double(8 * wide + 1 + 2 * size.halo);
        if (best < 0 || cost < best) best = cost, down_ = down, across_ = across;
      }
    positions_ = strip_positions(ceil_div(rows, down_), ceil_div(columns, across_));
  }

  int64_t count() const { return down_ * across_; }
  int64_t most_positions() const { return positions_; }

  Strip strip(int64_t index) const {
    const int64_t row = index / across_, column = index % across_;
    const TileAxis &rows = size_.foreground_tiles.rows, &columns = size_.foreground_tiles.columns;
    Strip s;
    s.tiles = {rows.count() * row / down_, rows.count() * (row + 1) / down_, columns.count() * column / across_,
               columns.count() * (column + 1) / across_};
    s.grid = {rows.begin(s.tiles.y0), rows.end(s.tiles.y1 - 1), columns.begin(s.tiles.x0), columns.end(s.tiles.x1 - 1)};
    s.positions = contributing_box(s.grid, size_.hf, size_.wf);
    return s;
  }

 private:
  int64_t strip_positions(int64_t high, int64_t wide) const {
    return smaller(8 * high + 2, size_.hf) * smaller(8 * wide + 2, size_.wf);
  }

  const Geometry& size_;
  int64_t down_ = 1, across_ = 1, positions_ = 0;
};

}  // namespace
}  // namespace gica
