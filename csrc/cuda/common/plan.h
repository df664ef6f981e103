// How the foreground is cut into strips, so that what grows with P x Q is held for one strip at a time, and a strip
// into slices, so that its blocks of Abar are held for one slice at a time.
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

// What a pass needs of its strips.
struct StripNeeds {
  bool both_sides;  // their grid reaches one position into the next strip
  bool slices;      // blocks are formed slice by slice
};

// Strips are boxes of tiles, slices their columns of tiles, some at a time. The last tile of an axis takes one position
// that is left over.
class Plan {
 public:
  // Of the plans that take at most `limit` bytes(plan) of scratch, with as few slices as that allows, the one of least
  // cost(plan).
  template <class Bytes, class Cost>
  Plan(const Shape& shape, StripNeeds needs, int64_t limit, const Bytes& bytes, const Cost& cost)
      : s_(shape), needs_(needs) {
    double best = -1;
    for (int down = 1; down <= rows().count(); ++down)
      for (int across = 1; across <= columns().count(); ++across) {
        if (repeats(rows().count(), down) || repeats(columns().count(), across)) continue;
        Plan candidate(shape, needs, down, across);
        const int most = needs.slices ? candidate.tiles_wide() : 1;
        while (bytes(candidate) > limit && candidate.slices_ < most) ++candidate.slices_;
        const bool smallest = down == rows().count() && across == columns().count();
        if (!smallest && bytes(candidate) > limit) continue;
        const double total = cost(candidate);
        if (best < 0 || total < best) best = total, down_ = down, across_ = across, slices_ = candidate.slices_;
      }
  }

  int count() const { return down_ * across_; }
  Strip strip(int index) const { return at(index / across_, index % across_); }

  // A strip as large as any, away from the edges, where what it needs is cut off.
  Strip largest() const {
    const auto longest = [](const TileAxis& axis, int strips) {
      const int tiles = static_cast<int>(ceil_div(axis.count(), strips)), positions = static_cast<int>(axis.positions);
      return smaller(8 * tiles + (positions % 8 == 1 ? 1 : 0), positions);
    };
    return made({0, longest(rows(), down_), 0, longest(columns(), across_)}, false);
  }

  // At most so many of a strip.
  int slices() const { return slices_; }
  // A slice's part of the grid; empty where the strip has fewer columns of tiles.
  Rect slice(const Strip& strip, int index) const {
    if (slices_ == 1) return strip.grid;
    const TileAxis axis{strip.grid.width()};
    const int64_t begin = axis.count() * index / slices_, end = axis.count() * (index + 1) / slices_;
    Rect slice = strip.grid;
    slice.x0 += static_cast<int>(axis.begin(begin));
    slice.x1 = end > begin ? strip.grid.x0 + static_cast<int>(axis.end(end - 1)) : slice.x0;
    return slice;
  }
  // As large as any.
  Rect largest_slice() const {
    Rect slice = largest().grid;
    if (slices_ > 1) slice.x1 = smaller(8 * static_cast<int>(ceil_div(tiles_wide(), slices_)) + 1, slice.x1);
    return slice;
  }

 private:
  Plan(const Shape& shape, StripNeeds needs, int down, int across)
      : s_(shape), needs_(needs), down_(down), across_(across) {}

  // More strips than needed for tiles of their size.
  static bool repeats(int64_t tiles, int64_t strips) {
    return strips > 1 && ceil_div(tiles, strips) == ceil_div(tiles, strips - 1);
  }

  TileAxis rows() const { return {s_.hf + 1}; }
  TileAxis columns() const { return {s_.wf + 1}; }
  int tiles_wide() const { return static_cast<int>(ceil_div(columns().count(), across_)); }

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
    const int more = needs_.both_sides ? 1 : 0;
    strip.own = own;
    strip.grid = {own.y0, smaller(own.y1 + more, s_.hf + 1), own.x0, smaller(own.x1 + more, s_.wf + 1)};
    strip.scored = {own.y0, smaller(own.y1, s_.hf), own.x0, smaller(own.x1, s_.wf)};
    strip.positions = {larger(own.y0 - 1, 0), smaller(own.y1 + more, s_.hf), larger(own.x0 - 1, 0),
                       smaller(own.x1 + more, s_.wf)};
    if (!cut_off) {  // one position in front
      strip.positions.y1 = smaller(own.y1 + more + 1, s_.hf);
      strip.positions.x1 = smaller(own.x1 + more + 1, s_.wf);
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
  StripNeeds needs_;
  int down_ = 1, across_ = 1, slices_ = 1;
};

}  // namespace gica::cuda
