// A walk: foreground row and background row advance together down one diagonal, so that every Gram tile serves all the
// vertical taps and the column-major propagation of its neighbours. A row that leaves a map at the bottom comes in
// again at the top, one column on (and backwards), which is what the column-major pass asks for.
#pragma once

#include "scores.h"

#include "gica/strips.h"

namespace gica::cpu {
namespace {

// Which columns of a tile exist after a shift across the map's edge.
struct Placed {
  int64_t position, begin, end;  // flat position of the tile's first column; columns that exist
  bool exists() const { return begin < end; }
};
inline Placed place(int64_t row, int64_t first, int64_t count, int64_t height, int64_t width) {
  const ColumnMajor at = column_major(row, height);
  const int64_t begin = first + at.shift;
  return {at.row * width + begin, smaller(larger<int64_t>(-begin, 0), count),
          larger<int64_t>(smaller(count, width - begin), 0)};
}

// The walks of one strip: one per diagonal and background segment.
template <class T>
class Walks {
 public:
  Walks(const Sample<T>& sample, const Segments& segments, const Strip& strip)
      : sample_(sample), size_(sample.size), segments_(segments), strip_(strip) {}

  int64_t count() const { return (strip_.positions.height() + size_.hb - 1) * segments_.count; }

  struct Walk {
    int64_t segment, u0, columns;  // background columns
    int64_t offset;                // background row = offset + step
    int64_t begin, end;            // steps: foreground row = strip's first + step
  };
  Walk walk(int64_t index) const {
    const int64_t height = strip_.positions.height();
    Walk w;
    w.segment = index % segments_.count;
    w.u0 = segments_.begin(w.segment);
    w.columns = segments_.begin(w.segment + 1) - w.u0;
    w.offset = index / segments_.count - (height - 1);
    w.begin = larger<int64_t>(0, -w.offset);
    w.end = smaller(height, size_.hb - w.offset);
    return w;
  }

  TileShape shape(const Walk& w) const { return TileShape::of(size_, strip_.positions.width(), w.columns); }

  // Does any pair of this step matter: a wanted foreground position and a valid background position?
  bool matters(const Walk& w, int64_t step) const {
    const int64_t p = (strip_.positions.y0 + step) * size_.wf + strip_.positions.x0;
    const int64_t q = (w.offset + step) * size_.wb + w.u0;
    bool wanted = false, valid = false;
    for (int64_t i = 0; i < strip_.positions.width() && !wanted; ++i) wanted = sample_.wanted[p + i];
    for (int64_t j = 0; j < w.columns && !valid; ++j) valid = sample_.valid(q)[j];
    return wanted && valid;
  }
  bool any_matters(const Walk& w, int64_t begin, int64_t end) const {
    for (int64_t step = larger(begin, w.begin); step < smaller(end, w.end); ++step)
      if (matters(w, step)) return true;
    return false;
  }

  Placed foreground(int64_t step) const {
    return place(strip_.positions.y0 + step, strip_.positions.x0, strip_.positions.width(), size_.hf, size_.wf);
  }
  Placed background(const Walk& w, int64_t step) const {
    return place(w.offset + step, w.u0, w.columns, size_.hb, size_.wb);
  }

 private:
  const Sample<T>& sample_;
  const Geometry& size_;
  const Segments& segments_;
  const Strip& strip_;
};

// Scores after both passes, scaled, of every pair of the strip: z[position of the strip][padded map of b], -inf where q
// may not be copied. Rows of positions that nobody wants are left as they are.
template <class T>
class StripScores {
 public:
  static int64_t scratch(const Geometry& size, const TileShape& shape) {
    return ScoreTiles<T>::scratch(size, shape) + (2 * size.fuse_radius + 1) * shape.area();
  }

  StripScores(const Sample<T>& sample, const PackedBackground<T>& background, const Segments& segments,
              const Strip& strip, T scale, T* z, int64_t z_stride)
      : sample_(sample),
        size_(sample.size),
        background_(background),
        walks_(sample, segments, strip),
        strip_(strip),
        scale_(scale),
        z_(z),
        z_stride_(z_stride) {}

  void compute(const ParallelFor& loop, const WorkerBuffer<T>& memory) const {
    parallel(loop, walks_.count(), [&](int64_t index, int worker) { follow(walks_.walk(index), memory.of(worker)); });
  }

 private:
  void follow(const typename Walks<T>::Walk& w, T* memory) const {
    const TileShape shape = walks_.shape(w);
    const int64_t g = size_.fuse_radius, ring = 2 * g + 1;
    T* propagated = memory;
    ScoreTiles<T> tiles(sample_, background_, shape, w.segment, memory + ring * shape.area());
    const auto slot = [&](int64_t step) { return propagated + (step + ring) % ring * shape.area(); };
    int64_t done = w.begin - g;  // the first step not yet in the ring
    for (int64_t step = w.begin; step < w.end; ++step) {
      if (!walks_.matters(w, step)) {
        mask_out(w, step);
        continue;
      }
      for (done = larger(done, step - g); done <= step + g; ++done) {
        const Placed f = walks_.foreground(done), b = walks_.background(w, done);
        if (f.exists() && b.exists())
          tiles.propagated(f.position, b.position, f.begin, f.end, b.begin, b.end, slot(done));
        else
          fill(slot(done), shape.rows * shape.stride, T(0));
      }
      emit(w, step, shape, slot);
    }
  }

  int64_t row_of(int64_t step) const { return step * strip_.positions.width(); }

  template <class Slot>
  void emit(const typename Walks<T>::Walk& w, int64_t step, const TileShape& shape, const Slot& slot) const {
    const int64_t g = size_.fuse_radius, v = w.offset + step;
    const T* ring[kMostRing];
    for (int64_t d = 0; d <= 2 * g; ++d) ring[d] = slot(step - g + d);
    const Integer<T>* valid = sample_.valid(v * size_.wb + w.u0);
    const Vector<T> masked = splat<T>(-static_cast<T>(__builtin_inf()));
    with_count(2 * g + 1, [&](auto count) {
      for (int64_t i = 0; i < shape.rows; ++i) {
        T* out = z_ + (row_of(step) + i) * z_stride_ + size_.row.at(v, w.u0);
        const auto scaled = [&](int64_t j) {
          Vector<T> total{};
          for (int64_t d = 0; d < count; ++d) total += load(ring[d] + i * shape.stride + j);
          return choose<T>(load(valid + j), total * scale_, masked);
        };
        int64_t j = 0;
        for (; j + kLanes<T> <= shape.columns; j += kLanes<T>) store(out + j, scaled(j));
        if (j < shape.columns) {
          const Vector<T> last = scaled(j);
          for (int64_t lane = 0; j + lane < shape.columns; ++lane) out[j + lane] = last[lane];
        }
      }
    });
  }

  void mask_out(const typename Walks<T>::Walk& w, int64_t step) const {
    for (int64_t i = 0; i < strip_.positions.width(); ++i)
      fill(z_ + (row_of(step) + i) * z_stride_ + size_.row.at(w.offset + step, w.u0), w.columns,
           -static_cast<T>(__builtin_inf()));
  }

  static constexpr int kMostRing = 64;
  const Sample<T>& sample_;
  const Geometry& size_;
  const PackedBackground<T>& background_;
  Walks<T> walks_;
  const Strip& strip_;
  T scale_;
  T* z_;
  int64_t z_stride_;
};

}  // namespace
}  // namespace gica::cpu
