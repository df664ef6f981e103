// Pixels as rows of the paste product: for every position of the Abar grid, the pixels of its phases.
#pragma once

#include "buffer.h"
#include "gemm.h"
#include "pixels.h"

#include "gica/geometry.h"

namespace gica::cpu {
namespace {

// Column (ry * phases + rx) * channels + c of position (i, j) is pixel (phases * i - before + ry, phases * j - before +
// rx) of channel c. A run of columns x of one phase row lies in the packed matrix as a start and a step.
template <class T>
struct PhaseColumns {
  const Geometry& size;
  int64_t positions;  // rows of the packed matrix
  T* packed;

  struct Run {
    T* first;
    int64_t step;
  };
  Run run(int64_t position, int64_t ry, int64_t rx, int64_t c) const {
    const int64_t column = (ry * size.phases + rx) * size.value_channels + c;
    const int64_t panel = column / kPanel<T> * kPanel<T>;
    return {packed + packed_index<T>(position, column, positions, size.columns),
            smaller(padded<T>(size.columns) - panel, kPanel<T>)};
  }
};

inline int64_t first_pixel(const Geometry& size, int64_t position) {
  return size.phases * position - size.before;
}

// Packs the pixels of a box of the grid as a right operand over its positions; 0 outside the image. adjust(row, x0, x1,
// line) may change a line of pixels on the way.
template <class T, class Adjust>
void pack_pixels(const Geometry& size, const Image& image, Dtype dtype, int64_t n, const Box& box, T* packed, T* line,
                 const Adjust& adjust) {
  const PhaseColumns<T> columns{size, box.area(), packed};
  fill(packed, box.area() * padded<T>(size.columns), T(0));
  const int64_t x0 = first_pixel(size, box.x0), x1 = first_pixel(size, box.x1);
  with_type(dtype, image.data, [&](const auto* data) {
    for (int64_t c = 0; c < image.channels; ++c)
      for (int64_t y = 0; y < box.height(); ++y)
        for (int64_t ry = 0; ry < size.phases; ++ry) {
          const int64_t row = first_pixel(size, box.y0 + y) + ry;
          if (row < 0 || row >= image.height) continue;
          decode_line(data + row_offset(image, n, c, row), image.stride[3], image.width, x0, x1, line);
          adjust(row, x0, x1, line);
          for (int64_t rx = 0; rx < size.phases; ++rx) {
            const auto run = columns.run(y * box.width(), ry, rx, c);
            for (int64_t x = 0; x < box.width(); ++x) run.first[x * run.step] = line[x * size.phases + rx];
          }
        }
  });
}
template <class T>
void pack_pixels(const Geometry& size, const Image& image, Dtype dtype, int64_t n, const Box& box, T* packed, T* line) {
  pack_pixels(size, image, dtype, n, box, packed, line, [](int64_t, int64_t, int64_t, T*) {});
}

// All pixels of a tensor, tile by tile of the background's Abar grid.
template <class T>
class PixelTiles {
 public:
  explicit PixelTiles(const Geometry& size, bool used = true)
      : size_(size), columns_(padded<T>(size.columns)), packed_(used ? (size.hb + 1) * (size.wb + 1) * columns_ : 0) {}

  explicit operator bool() const { return static_cast<bool>(packed_); }
  int64_t columns() const { return columns_; }
  T* tile(const Box& box) const {
    return packed_.data() + (box.y0 * (size_.wb + 1) + box.height() * box.x0) * columns_;
  }
  void clear(const ParallelFor& loop) const {
    parallel(loop, size_.hb + 1, [&](int64_t row, int) {
      fill(packed_.data() + row * (size_.wb + 1) * columns_, (size_.wb + 1) * columns_, T(0));
    });
  }
  // Room for one line of pixels of any box.
  static int64_t line_room(const Geometry& size) { return (kTileSide + 1) * size.phases; }

  // line[x] = pixel (c, row, x), for x in [0, width)
  void unpack_row(int64_t c, int64_t row, int64_t width, T* line) const {
    const int64_t i = (row + size_.before) / size_.phases, ry = (row + size_.before) % size_.phases;
    const TileGrid& grid = size_.background_tiles;
    const int64_t ty = smaller(i / 8, grid.rows.count() - 1);
    for (int64_t tx = 0; tx < grid.columns.count(); ++tx) {
      const Box box = tile_box(grid, ty * grid.columns.count() + tx);
      const PhaseColumns<T> columns{size_, box.area(), tile(box)};
      for (int64_t rx = 0; rx < size_.phases; ++rx) {
        const auto run = columns.run((i - box.y0) * box.width(), ry, rx, c);
        for (int64_t x = 0; x < box.width(); ++x) {
          const int64_t pixel = first_pixel(size_, box.x0 + x) + rx;
          if (pixel >= 0 && pixel < width) line[pixel] = run.first[x * run.step];
        }
      }
    }
  }

 private:
  const Geometry& size_;
  int64_t columns_;
  Buffer<T> packed_;
};

}  // namespace
}  // namespace gica::cpu
