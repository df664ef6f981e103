// Match scores of a tile: a Gram tile by matrix product, the patch sum and the propagation as diagonal sums.
//
// Both maps are indexed by flat row-major positions and a tile is a run of them on either side, with a halo that may
// run over row ends. Then a vertical tap is a shift by the map's width on both sides, the row-major propagation a shift
// by one, and only the horizontal taps of the patch need a mask. docs/design.md has the derivation.
#pragma once

#include "sample.h"

namespace gica::cpu {
namespace {

// Widths of one tile: rows of the foreground, columns of the background, and the distance between rows in scratch.
struct TileShape {
  int64_t rows, columns, halo, stride;
  static TileShape of(const Geometry& size, int64_t rows, int64_t columns) {
    return {rows, columns, size.halo, round_up(columns + 2 * size.halo, 16)};
  }
  int64_t gram_rows() const { return rows + 2 * halo; }
  int64_t gram_columns() const { return columns + 2 * halo; }
  // With room behind the last row: whole vectors are read at any of the halo's offsets.
  int64_t area() const { return gram_rows() * stride + round_up(2 * halo, 16) + 16; }
};

// The background's columns are cut into segments, each of which with its halo is one tile wide.
struct Segments {
  int64_t width, count;
  explicit Segments(int64_t map_width) : width(map_width), count(ceil_div(map_width, int64_t{192})) {}
  int64_t begin(int64_t segment) const { return width * segment / count; }
  int64_t widest() const { return ceil_div(width, count); }
};

// The right operands of all Gram tiles that start at a segment, packed once.
template <class T>
class PackedBackground {
 public:
  PackedBackground(const Sample<T>& sample, const Segments& segments)
      : sample_(sample),
        segments_(segments),
        slot_(sample.size.channels * padded<T>(segments.widest() + 2 * sample.size.halo)),
        packed_((sample.size.hb + 2 * sample.size.box_radius) * segments.count * slot_) {}

  explicit operator bool() const { return static_cast<bool>(packed_); }

  void prepare(const ParallelFor& loop) {
    const Geometry& size = sample_.size;
    parallel(loop, (size.hb + 2 * size.box_radius) * segments_.count, [&](int64_t task, int) {
      const int64_t row = task / segments_.count - size.box_radius, segment = task % segments_.count;
      const int64_t begin = segments_.begin(segment), columns = segments_.begin(segment + 1) - begin;
      pack(sample_, row * size.wb + begin - size.halo, columns + 2 * size.halo, packed_.data() + task * slot_);
    });
  }

  // The operand of the tile whose column `halo` is position q0, or null if q0 starts no segment.
  const T* at(int64_t q0, int64_t segment) const {
    const Geometry& size = sample_.size;
    const int64_t row = q0 - segments_.begin(segment) + size.box_radius * size.wb;
    if (row < 0 || row % size.wb != 0 || row / size.wb >= size.hb + 2 * size.box_radius) return nullptr;
    return packed_.data() + (row / size.wb * segments_.count + segment) * slot_;
  }

  // Columns [q, q + n) of the background's maps; 0 outside the map.
  static void pack(const Sample<T>& sample, int64_t q, int64_t n, T* packed) {
    const int64_t begin = larger<int64_t>(-q, 0), end = smaller(n, sample.size.Q - q);
    for (int64_t k = 0; k < sample.size.channels; k += kDepth) {
      const int64_t depth = smaller(kDepth, sample.size.channels - k);
      pack_rows(depth, n, sample.b_columns.data() + k * sample.b_stride + q, sample.b_stride, packed + k * padded<T>(n),
                begin, end);
    }
  }

 private:
  const Sample<T>& sample_;
  const Segments& segments_;
  int64_t slot_;
  Buffer<T> packed_;
};

template <class T>
class ScoreTiles {
 public:
  static int64_t scratch(const Geometry& size, const TileShape& shape) {
    return (2 * size.box_radius + 3) * shape.area() + size.channels * padded<T>(shape.gram_columns());
  }

  ScoreTiles(const Sample<T>& sample, const PackedBackground<T>& background, const TileShape& shape, int64_t segment,
             T* memory)
      : sample_(sample), size_(sample.size), background_(background), shape_(shape), segment_(segment) {
    slots_ = 2 * size_.box_radius + 1;
    gram_ = memory;
    vertical_ = gram_ + slots_ * shape.area();
    scores_ = vertical_ + shape.area();
    packed_ = scores_ + shape.area();
    for (int64_t slot = 0; slot < slots_; ++slot) used_[slot] = -1;
  }

  // Row i + fuse_radius, column j + fuse_radius: the score of (p0 + i, q0 + j) for the tile and its propagation halo; 0
  // where either position is outside its map. Valid until the next call.
  const T* scores(int64_t p0, int64_t q0) {
    find_taps(p0, q0);
    for (int64_t row = 0; row < shape_.gram_rows(); ++row) {
      sum_vertically(row);
      if (row >= 2 * size_.box_radius) score_row(row - 2 * size_.box_radius, p0, q0);
    }
    return scores_;
  }

  // out (row i, column j) = the scores after the row-major pass; 0 outside rows [i0, i1) and columns [j0, j1).
  void propagated(int64_t p0, int64_t q0, int64_t i0, int64_t i1, int64_t j0, int64_t j1, T* out) {
    // Each stage follows the one before at once, while its rows are near.
    find_taps(p0, q0);
    for (int64_t row = 0; row < shape_.gram_rows(); ++row) {
      sum_vertically(row);
      if (row >= 2 * size_.box_radius) score_row(row - 2 * size_.box_radius, p0, q0);
      const int64_t i = row - 2 * size_.halo;
      if (i < 0) continue;
      T* to = out + i * shape_.stride;
      if (i < i0 || i >= i1) {
        fill(to, shape_.columns, T(0));
        continue;
      }
      propagate_row(i, to);
      fill(to, j0, T(0));
      fill(to + j1, shape_.columns - j1, T(0));
    }
  }

  const TileShape& shape() const { return shape_; }

 private:
  // The Gram tile of positions [p0 - halo, ...) x [q0 - halo, ...), kept until it is the one longest unused; null where
  // the tile lies wholly outside either map.
  const T* gram(int64_t p0, int64_t q0) {
    const int64_t rows = shape_.gram_rows(), columns = shape_.gram_columns();
    const int64_t p = p0 - size_.halo, q = q0 - size_.halo;
    if (p + rows <= 0 || p >= size_.P || q + columns <= 0 || q >= size_.Q) return nullptr;
    int64_t slot = 0;
    for (int64_t s = 0; s < slots_; ++s) {
      if (used_[s] >= 0 && p_[s] == p && q_[s] == q) {
        used_[s] = now_++;
        return gram_ + s * shape_.area();
      }
      if (used_[s] < used_[slot]) slot = s;
    }
    p_[slot] = p, q_[slot] = q, used_[slot] = now_++;
    T* out = gram_ + slot * shape_.area();
    multiply_gram(p, q, q0, out);
    return out;
  }

  void multiply_gram(int64_t p, int64_t q, int64_t q0, T* out) {
    const int64_t rows = shape_.gram_rows(), columns = shape_.gram_columns();
    const T* right = background_.at(q0, segment_);
    if (!right) {
      PackedBackground<T>::pack(sample_, q, columns, packed_);
      right = packed_;
    }
    const int64_t begin = larger<int64_t>(-p, 0), end = smaller(rows, size_.P - p);
    fill(out, begin * shape_.stride, T(0));
    fill(out + end * shape_.stride, (rows - end) * shape_.stride, T(0));
    for (int64_t k = 0; k < size_.channels; k += kDepth)
      multiply(k > 0, end - begin, columns, smaller(kDepth, size_.channels - k),
               sample_.f_rows.data() + (p + begin) * size_.channels + k, size_.channels, 1,
               right + k * padded<T>(columns), out + begin * shape_.stride, shape_.stride);
  }

  // The Gram tiles that the vertical taps of one tile read.
  void find_taps(int64_t p0, int64_t q0) {
    tap_count_ = 0;
    for (int64_t dy = -size_.box_radius; dy <= size_.box_radius; ++dy)
      if (const T* tile = gram(p0 + dy * size_.wf, q0 + dy * size_.wb)) taps_[tap_count_++] = tile;
  }

  void sum_vertically(int64_t row) {
    T* out = vertical_ + row * shape_.stride;
    with_count(tap_count_, [&](auto count) {
      for (int64_t j = 0; j < shape_.stride; j += kLanes<T>) {
        Vector<T> total{};
        for (int64_t tap = 0; tap < count; ++tap) total += load(taps_[tap] + row * shape_.stride + j);
        store(out + j, total);
      }
    });
  }

  // Row `row` of the scores: horizontal taps, norm.
  void score_row(int64_t row, int64_t p0, int64_t q0) {
    const int64_t g = size_.fuse_radius, radius = size_.box_radius, width = shape_.columns + 2 * g;
    T* out = scores_ + row * shape_.stride;
    const int64_t p = p0 + row - g;
    if (p < 0 || p >= size_.P) {
      fill(out, width, T(0));
      return;
    }
    const T* norm = sample_.reciprocal_norm(q0 - g);
    const int64_t x = p % size_.wf, first = larger(-radius, -x), last = smaller(radius, size_.wf - 1 - x);
    const T* in = vertical_ + (row + radius + first) * shape_.stride + radius + first;
    const Integer<T>* allowed = sample_.tap_allowed(first, q0 - g);
    const int64_t step = sample_.tap_stride();
    with_count(last - first + 1, [&](auto count) {
      for (int64_t j = 0; j < width; j += kLanes<T>) {
        Vector<T> total{};
        for (int64_t tap = 0; tap < count; ++tap)
          total += keep_where<T>(load(allowed + tap * step + j), load(in + tap * (shape_.stride + 1) + j));
        store(out + j, total * load(norm + j));
      }
    });
  }

  void propagate_row(int64_t i, T* out) {
    const T* in = scores_ + i * shape_.stride;
    with_count(2 * size_.fuse_radius + 1, [&](auto count) {
      for (int64_t j = 0; j < shape_.columns; j += kLanes<T>) {
        Vector<T> total{};
        for (int64_t tap = 0; tap < count; ++tap) total += load(in + tap * (shape_.stride + 1) + j);
        store(out + j, total);
      }
    });
  }

  static constexpr int kMostTaps = 64;  // ksize stays below this; functional.py says so
  const Sample<T>& sample_;
  const Geometry& size_;
  const PackedBackground<T>& background_;
  TileShape shape_;
  int64_t segment_, slots_, now_ = 0;
  int64_t used_[kMostTaps], p_[kMostTaps], q_[kMostTaps];
  const T* taps_[kMostTaps];
  int64_t tap_count_ = 0;
  T *gram_, *vertical_, *scores_, *packed_;
};

}  // namespace
}  // namespace gica::cpu
