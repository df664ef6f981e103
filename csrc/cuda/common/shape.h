// Sizes of one problem as the kernels are told them, and boxes of positions. 32 bits hold every position; products of
// two sizes are widened where they are formed.
#pragma once

#include "gica/geometry.h"

namespace gica::cuda {

constexpr int kTile = 8;                  // side of a tile of the Abar grid
constexpr int kTileSize = kTile * kTile;  // its positions

struct Rect {
  int y0, y1, x0, x1;
  GICA_HOST_DEVICE int height() const { return y1 - y0; }
  GICA_HOST_DEVICE int width() const { return x1 - x0; }
  GICA_HOST_DEVICE int area() const { return height() * width(); }
  GICA_HOST_DEVICE bool contains(int y, int x) const { return y >= y0 && y < y1 && x >= x0 && x < x1; }
  GICA_HOST_DEVICE int index(int y, int x) const { return (y - y0) * width() + x - x0; }
};

struct Shape {
  int batch, channels, value_channels;
  int hf, wf, hb, wb, P, Q;
  int box_radius, fuse_radius, halo;
  int rate, phases, before;
  int depth;        // channels of the reduced maps, padded with zeros so that rows can be copied 16 bytes at a time
  int value_depth;  // channels of one phase, padded likewise
  int columns;      // columns of the paste product: phases^2 * value_depth, padded to whole tiles
  int row_stride;   // between rows of Q elements
  int64_t scratch_stride;  // bytes between the scratch of two samples (samples.h)
  float softmax_scale;
  float threshold;  // a block of Abar is left out where all of it is at most this; negative: none is
  Semantics semantics;

  GICA_HOST_DEVICE Rect foreground_grid() const { return {0, hf + 1, 0, wf + 1}; }
  GICA_HOST_DEVICE Rect background_grid() const { return {0, hb + 1, 0, wb + 1}; }

  // The part of the pasted sum that one of the patches over a position of the Abar grid contributes.
  GICA_HOST_DEVICE float share(int i, int j) const {
    if (semantics != Semantics::mmagic) return 0.25f;
    return (i == 0 || i == hf ? 1.f : 0.5f) * (j == 0 || j == wf ? 1.f : 0.5f);
  }
};

}  // namespace gica::cuda
