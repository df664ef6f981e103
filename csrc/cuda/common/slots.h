// Which rows of scores a strip of foreground positions needs, wraps included.
//
// The column-major pass joins a position with those above and below, and where it leaves the map at the bottom, with
// the top of the next column. So the strip's rows, and `fuse_radius` more on either side, are followed over the map's
// edge: each is a run of flat positions, a *group*. Row-major neighbours are flat neighbours, so a group of scores is
// fuse_radius longer on both sides than the strip is wide; the patch product below them, the Gram group, by box_radius
// more, and there are box_radius more of them above and below every run of groups that lie under each other in the map.
#pragma once

#include "common/shape.h"

namespace gica::cuda {

// The flat position `steps` further down the columns of a map, over its edges; -1 where the map ends before.
GICA_HOST_DEVICE inline int step_down(int position, int steps, int height, int width) {
  int y = position / width + steps, x = position % width;
  for (; y < 0; y += height) --x;
  for (; y >= height; y -= height) ++x;
  return x >= 0 && x < width ? y * width + x : -1;
}

struct Group {
  int base;   // flat position of the strip's first column
  int shift;  // columns by which the map's edge has moved it
};

struct Slots {
  Rect strip;
  int height, width;  // of the map
  int box_radius, fuse_radius;
  int first_row, first_shift;  // of the first group

  GICA_HOST_DEVICE static Slots of(const Shape& s, const Rect& strip) {
    const ColumnMajor first = column_major(strip.y0 - s.fuse_radius, s.hf);
    return {strip, s.hf, s.wf, s.box_radius, s.fuse_radius, static_cast<int>(first.row), static_cast<int>(first.shift)};
  }

  GICA_HOST_DEVICE int score_groups() const { return strip.height() + 2 * fuse_radius; }
  GICA_HOST_DEVICE int score_width() const { return strip.width() + 2 * fuse_radius; }
  GICA_HOST_DEVICE int score_slots() const { return score_groups() * score_width(); }

  GICA_HOST_DEVICE int segment(int group) const { return (first_row + group) / height; }
  GICA_HOST_DEVICE Group score_group(int group) const {
    const int row = (first_row + group) % height, shift = first_shift + segment(group);
    return {row * width + strip.x0 + shift, shift};
  }

  GICA_HOST_DEVICE int gram_groups() const {
    return score_groups() + 2 * box_radius * (1 + segment(score_groups() - 1));
  }
  GICA_HOST_DEVICE int gram_width() const { return strip.width() + 2 * (box_radius + fuse_radius); }
  GICA_HOST_DEVICE int gram_slots() const { return gram_groups() * gram_width(); }

  // The Gram group of a vertical tap dy of a group of scores.
  GICA_HOST_DEVICE int gram_of(int group, int dy) const { return group + box_radius * (2 * segment(group) + 1) + dy; }

  // A Gram group: its segment, and its row of the map, which may lie outside by up to box_radius.
  struct GramGroup {
    int segment, row, base;
  };
  GICA_HOST_DEVICE GramGroup gram_group(int index) const {
    const int first = height - first_row + 2 * box_radius;
    int segment = 0, row = first_row + index - box_radius;
    if (index >= first) {
      segment = 1 + (index - first) / (height + 2 * box_radius);
      row = (index - first) % (height + 2 * box_radius) - box_radius;
    }
    return {segment, row, row * width + strip.x0 + first_shift + segment};
  }
  // The flat position of a Gram slot, in the map or not.
  GICA_HOST_DEVICE int gram_position(int slot) const {
    return gram_group(slot / gram_width()).base + slot % gram_width() - box_radius - fuse_radius;
  }
};

}  // namespace gica::cuda
