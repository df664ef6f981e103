// How the foreground is cut into strips, so that what grows with P x Q is held for one strip at a time.
#pragma once

#include "common/slots.h"
#include "common/tiles.h"

namespace gica::cuda {

struct Strip {
  Rect own;        // its part of the Abar grid
  Rect grid;       // the grid positions it needs blocks at
  Rect positions;  // the positions whose attention enters those blocks
  Rect scored;     // the positions of its own, whose scores' gradient it forms
};

// Strips are boxes of tiles. The last tile of an axis takes one position that is left over.
class Plan {
 public:
  // With `both_sides` a strip's grid reaches one position into the next strip, as the backward needs it to. Of the
  // plans whose strips take at most `limit` bytes(strip) of scratch the one of least cost(strip) in all is taken.
  template <class Bytes, class Cost>
  Plan(const Shape& shape, bool both_sides, int64_t limit, const Bytes& bytes, const Cost& cost)
      : s_(shape), both_sides_(both_sides) {
    double best = -1;
    for (int down = 1; down <= rows().count(); ++down)
      for (int across = 1; across <= columns().count(); ++across) {
        if (repeats(rows().count(), down) || repeats(columns().count(), across)) continue;
        const Plan candidate(shape, both_sides, down, across);
        const Strip largest = candidate.largest();
        const bool smallest = down == rows().count() && across == columns().count();
        if (!smallest && bytes(largest) > limit) continue;
        const double total = double(down) * across * cost(largest);
        if (best < 0 || total < best) best = total, down_ = down, across_ = across;
      }
  }

  int count() const { return down_ * across_; }
  Strip strip(int index) const { return at(index / across_, index % across_); }

  // A strip as large as any, away from the edges, where what it needs is cut off.
  Strip largest() const {
    const int high = static_cast<int>(ceil_div(rows().count(), down_));
    const int wide = static_cast<int>(ceil_div(columns().count(), across_));
    return made({0, smaller(8 * high + 1, s_.hf + 1), 0, smaller(8 * wide + 1, s_.wf + 1)}, false);
  }

 private:
  Plan(const Shape& shape, bool both_sides, int down, int across)
      : s_(shape), both_sides_(both_sides), down_(down), across_(across) {}

  // More strips than needed for tiles of their size.
  static bool repeats(int64_t tiles, int64_t strips) {
    return strips > 1 && ceil_div(tiles, strips) == ceil_div(tiles, strips - 1);
  }

  TileAxis rows() const { return {s_.hf + 1}; }
  TileAxis columns() const { return {s_.wf + 1}; }

  Strip at(int row, int column) const {
    const int64_t tiles_down = rows().count(), tiles_across = columns().count();
    const auto at = [](int64_t position) { return static_cast<int>(position); };
    return made({at(rows().begin(tiles_down * row / down_)), at(rows().end(tiles_down * (row + 1) / down_ - 1)),
                 at(columns().begin(tiles_across * column / across_)),
                 at(columns().end(tiles_across * (column + 1) / across_ - 1))},
                true);
  }

  Strip made(const Rect& own, bool cut_off) const {
    Strip strip;
    const int more = both_sides_ ? 1 : 0;
    strip.own = own;
    strip.grid = {own.y0, smaller(own.y1 + more, s_.hf + 1), own.x0, smaller(own.x1 + more, s_.wf + 1)};
    strip.scored = {own.y0, smaller(own.y1, s_.hf), own.x0, smaller(own.x1, s_.wf)};
    strip.positions = {larger(own.y0 - 1, 0), smaller(own.y1 + more, s_.hf), larger(own.x0 - 1, 0),
                       smaller(own.x1 + more, s_.wf)};
    if (!cut_off) {  // one position in front
      strip.positions.y1 = smaller(own.y1 + more + 1, s_.hf);
      strip.positions.x1 = smaller(own.x1 + more + 1, s_.wf);
      strip.grid.y1 = smaller(own.y1 + 1, s_.hf + 1), strip.grid.x1 = smaller(own.x1 + 1, s_.wf + 1);
      move_to_wrap(&strip.positions);
      move_to_wrap(&strip.scored);
    }
    return strip;
  }

  // To where propagation, on its way down, leaves the map soonest and so most often: every time takes Gram groups more.
  void move_to_wrap(Rect* rows) const {
    const int down = s_.fuse_radius - 1 - rows->y0;
    rows->y0 += down, rows->y1 += down;
  }

  Shape s_;
  bool both_sides_;
  int down_ = 1, across_ = 1;
};

}  // namespace gica::cuda
