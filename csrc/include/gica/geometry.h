// Index maths of the layer: reduction, patches, the Abar grid and its tiles, strips. Host and device.
#pragma once

#include <cstdint>

#include "gica/params.h"

#if defined(__CUDACC__)
#define GICA_HOST_DEVICE __host__ __device__
#else
#define GICA_HOST_DEVICE
#endif

namespace gica {

// Kept out of the standard library's names, so that every instruction set's copy stays private to its own file.
namespace {

template <class I>
GICA_HOST_DEVICE inline I smaller(I a, I b) {
  return b < a ? b : a;
}
template <class I>
GICA_HOST_DEVICE inline I larger(I a, I b) {
  return a < b ? b : a;
}
GICA_HOST_DEVICE inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
GICA_HOST_DEVICE inline int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}

// Which source pixel the nearest reduction from n_in to n_out pixels picks. The original aligns corners, in float32,
// and rounds halves away from zero; the ports take the floor.
GICA_HOST_DEVICE inline int64_t reduced_index(int64_t i, int64_t n_in, int64_t n_out, Semantics semantics) {
  if (semantics != Semantics::tf) return i * (n_in / n_out);
  if (n_out == 1) return 0;
  const float scale = static_cast<float>(n_in - 1) / static_cast<float>(n_out - 1);
  const float position = static_cast<float>(i) * scale;
  return smaller(static_cast<int64_t>(static_cast<double>(position) + 0.5), n_in - 1);
}

// The Abar grid of one axis (n positions, one more than the map) is cut into tiles of 8; a remainder of one joins the
// last.
struct TileAxis {
  int64_t positions;
  GICA_HOST_DEVICE int64_t count() const { return larger<int64_t>(1, (positions + 6) / 8); }
  GICA_HOST_DEVICE int64_t begin(int64_t tile) const { return 8 * tile; }
  GICA_HOST_DEVICE int64_t end(int64_t tile) const { return tile + 1 == count() ? positions : 8 * tile + 8; }
};
constexpr int64_t kTileSide = 9;                      // the longest side
constexpr int64_t kTileArea = kTileSide * kTileSide;  // the most positions

struct TileGrid {
  TileAxis rows, columns;
  GICA_HOST_DEVICE int64_t count() const { return rows.count() * columns.count(); }
};

// One tile as a box of grid positions.
struct Box {
  int64_t y0, y1, x0, x1;
  GICA_HOST_DEVICE int64_t height() const { return y1 - y0; }
  GICA_HOST_DEVICE int64_t width() const { return x1 - x0; }
  GICA_HOST_DEVICE int64_t area() const { return height() * width(); }
};

GICA_HOST_DEVICE inline Box tile_box(const TileGrid& grid, int64_t tile) {
  const int64_t ty = tile / grid.columns.count(), tx = tile % grid.columns.count();
  return {grid.rows.begin(ty), grid.rows.end(ty), grid.columns.begin(tx), grid.columns.end(tx)};
}

// The map positions whose attention enters a box of the Abar grid: one more row and column in front, none past the map.
GICA_HOST_DEVICE inline Box contributing_box(const Box& box, int64_t height, int64_t width) {
  return {larger<int64_t>(box.y0 - 1, 0), smaller(box.y1, height), larger<int64_t>(box.x0 - 1, 0),
          smaller(box.x1, width)};
}

// A map stored with one zero column and zero rows around it, so that its neighbours up and left, down and right of any
// position, in or out of the map by one, can be read. The column between two rows serves both.
struct PaddedMap {
  int64_t height, width;
  GICA_HOST_DEVICE int64_t stride() const { return width + 1; }
  GICA_HOST_DEVICE int64_t at(int64_t y, int64_t x) const { return (y + 1) * stride() + x + 1; }
  GICA_HOST_DEVICE int64_t size() const { return at(height, width) + 1; }
};

// Sizes of one problem, all at match resolution unless said.
struct Geometry {
  int64_t batch, channels, value_channels;
  int64_t hf, wf, hb, wb, P, Q;
  int64_t box_radius, fuse_radius, halo;  // ksize // 2, fuse_k // 2 and their sum
  int64_t phases, before;                 // output pixels per position and axis; padding of the paste
  int64_t columns;                        // phases^2 * value_channels: columns of the paste product
  TileGrid foreground_tiles, background_tiles;
  PaddedMap row;  // one foreground position's scores, or attention, over the background

  explicit Geometry(const Inputs& in) {
    const Options& o = in.options;
    batch = in.f.batch;
    channels = in.f.channels;
    value_channels = in.values.channels;
    hf = in.f.height / o.rate, wf = in.f.width / o.rate, hb = in.b.height / o.rate, wb = in.b.width / o.rate;
    P = hf * wf, Q = hb * wb;
    box_radius = o.ksize / 2, fuse_radius = o.fuse_k / 2, halo = box_radius + fuse_radius;
    const int64_t scale = in.values.height / in.b.height;
    phases = scale * o.rate;
    before = scale * (o.rate / 2);
    columns = phases * phases * value_channels;
    foreground_tiles = {{hf + 1}, {wf + 1}};
    background_tiles = {{hb + 1}, {wb + 1}};
    row = {hb, wb};
  }
};

// A position that runs down the columns of a map: leaving at the bottom, it comes in again at the top, one column on.
struct ColumnMajor {
  int64_t row, shift;
};
GICA_HOST_DEVICE inline ColumnMajor column_major(int64_t row, int64_t height) {
  int64_t shift = row / height;
  if (row < shift * height) --shift;
  return {row - shift * height, shift};
}

}  // namespace
}  // namespace gica
