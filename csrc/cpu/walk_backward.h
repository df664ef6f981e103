// The walks in reverse: from the gradient of a strip's scores to the gradients of the reduced maps. Every step of
// walk.h and scores.h is linear in the Gram tiles, so each is undone by its transpose, last first.
#pragma once

#include "walk.h"

namespace gica::cpu {
namespace {

// Gradients of the reduced maps as the walks of one lane sum them up.
template <class T>
struct LaneGradients {
  T* f;  // [P][padded channels]
  T* b;  // [Q][padded channels]: through the Gram products only
  // [Q], may be written a little outside: sum over p of the gradient of a score times the score, from which the norms'
  // gradient follows.
  T* score;
};

// Gram tile gradients, each summed over the taps it serves and then multiplied into the maps once.
template <class T>
class GramGradients {
 public:
  static int64_t scratch(const Geometry& size, const TileShape& shape) {
    return (2 * size.box_radius + 1) * shape.area() +
           larger(shape.gram_rows(), shape.gram_columns()) * padded<T>(size.channels);
  }

  GramGradients(const Sample<T>& sample, const T* b_rows, const TileShape& shape, const LaneGradients<T>& out,
                T* memory)
      : sample_(sample),
        size_(sample.size),
        b_rows_(b_rows),
        shape_(shape),
        out_(out),
        slots_(2 * size_.box_radius + 1) {
    tiles_ = memory;
    packed_ = tiles_ + slots_ * shape.area();
    for (int64_t slot = 0; slot < slots_; ++slot) used_[slot] = -1;
  }

  // Adds to the gradient of the Gram tile of positions [p0 - halo, ...) x [q0 - halo, ...).
  void add(int64_t p0, int64_t q0, const T* gradient) {
    const int64_t p = p0 - size_.halo, q = q0 - size_.halo;
    if (p + shape_.gram_rows() <= 0 || p >= size_.P || q + shape_.gram_columns() <= 0 || q >= size_.Q) return;
    int64_t slot = 0;
    for (int64_t s = 0; s < slots_; ++s) {
      if (used_[s] >= 0 && p_[s] == p && q_[s] == q) {
        slot = s;
        break;
      }
      if (used_[s] < used_[slot]) slot = s;
    }
    T* tile = tiles_ + slot * shape_.area();
    const int64_t count = shape_.gram_rows() * shape_.stride;
    const bool held = used_[slot] >= 0 && p_[slot] == p && q_[slot] == q;
    if (!held) flush(slot);
    for (int64_t i = 0; i < count; i += kLanes<T>)
      store(tile + i, held ? load(tile + i) + load(gradient + i) : load(gradient + i));
    p_[slot] = p, q_[slot] = q, used_[slot] = now_++;
  }

  void finish() {
    for (int64_t slot = 0; slot < slots_; ++slot) flush(slot);
  }

 private:
  void flush(int64_t slot) {
    if (used_[slot] < 0) return;
    used_[slot] = -1;
    const int64_t p = p_[slot], q = q_[slot], channels = size_.channels, row = padded<T>(channels);
    const int64_t i0 = larger<int64_t>(-p, 0), i1 = smaller(shape_.gram_rows(), size_.P - p);
    const int64_t j0 = larger<int64_t>(-q, 0), j1 = smaller(shape_.gram_columns(), size_.Q - q);
    const T* tile = tiles_ + slot * shape_.area() + i0 * shape_.stride + j0;
    if (out_.f) {
      pack_rows(j1 - j0, channels, b_rows_ + (q + j0) * row, row, packed_);
      multiply<T, true>(i1 - i0, channels, j1 - j0, tile, shape_.stride, 1, packed_, out_.f + (p + i0) * row, row);
    }
    if (out_.b) {
      pack_rows<T>(i1 - i0, channels, sample_.f_rows.data() + (p + i0) * channels, channels, packed_, 0, channels);
      multiply<T, true>(j1 - j0, channels, i1 - i0, tile, 1, shape_.stride, packed_, out_.b + (q + j0) * row, row);
    }
  }

  static constexpr int kMostTaps = 64;
  const Sample<T>& sample_;
  const Geometry& size_;
  const T* b_rows_;
  TileShape shape_;
  LaneGradients<T> out_;
  int64_t slots_, now_ = 0;
  int64_t used_[kMostTaps], p_[kMostTaps], q_[kMostTaps];
  T *tiles_, *packed_;
};

// Follows the walks of a strip with the gradient of its scores, `gradient` [position of the strip][padded map of b].
template <class T>
class StripScoresBackward {
 public:
  static int64_t scratch(const Geometry& size, const TileShape& shape) {
    return ScoreTiles<T>::scratch(size, shape) + GramGradients<T>::scratch(size, shape) +
           framed_area(shape, size.fuse_radius) + framed_area(shape, size.box_radius) + shape.area();
  }

  // `owned` is the box of positions whose gradient the strip holds; rows of `gradient` are counted in strip.positions.
  StripScoresBackward(const Sample<T>& sample, const PackedBackground<T>& background, const T* b_rows,
                      const Segments& segments, const Strip& strip, const Strip& owned, const T* gradient,
                      int64_t stride)
      : sample_(sample),
        size_(sample.size),
        background_(background),
        b_rows_(b_rows),
        strip_(strip),
        owned_(owned),
        walks_(sample, segments, owned),
        gradient_(gradient),
        stride_(stride) {}

  int64_t walks() const { return walks_.count(); }

  void follow(int64_t index, const LaneGradients<T>& out, T* memory) const {
    const auto w = walks_.walk(index);
    const TileShape shape = walks_.shape(w);
    const int64_t g = size_.fuse_radius;
    // Both are framed by zeros, so that the passes over them read without tests.
    T *propagated = memory, *summed = propagated + framed_area(shape, g);
    T *vertical = summed + framed_area(shape, size_.box_radius), *rest = vertical + shape.area();
    fill(propagated, framed_area(shape, g), T(0));
    fill(summed, framed_area(shape, size_.box_radius), T(0));
    ScoreTiles<T> tiles(sample_, background_, shape, w.segment, rest);
    GramGradients<T> grams(sample_, b_rows_, shape, out, rest + ScoreTiles<T>::scratch(size_, shape));
    for (int64_t step = w.begin - g; step < w.end + g; ++step) {
      const Placed f = walks_.foreground(step), b = walks_.background(w, step);
      if (!f.exists() || !b.exists() || !column_pass(w, step, shape, f, b, propagated)) continue;
      row_pass(shape, f, b, out.b ? tiles.scores(f.position, b.position) : nullptr, propagated, summed, out.score);
      horizontal_taps(shape, f, b, summed, vertical);
      for (int64_t dy = -size_.box_radius; dy <= size_.box_radius; ++dy)
        grams.add(f.position + dy * size_.wf, b.position + dy * size_.wb, vertical);
    }
    grams.finish();
  }

 private:
  using Walk = typename Walks<T>::Walk;

  // A tile and its halo, with a frame of zeros twice `radius` wide, or less, around what is written.
  static int64_t framed_stride(const TileShape& shape, int64_t radius) {
    return shape.stride + round_up(2 * radius, 16);
  }
  static int64_t framed_area(const TileShape& shape, int64_t radius) {
    return (shape.gram_rows() + 2 * radius) * framed_stride(shape, radius) + 2 * round_up(2 * radius, 16) + 16;
  }

  // The column-major pass: what this tile gives to the scores of the steps around it. Element (i, j) goes to row i +
  // 2g, column j + 2g. Returns whether anything is not 0.
  bool column_pass(const Walk& w, int64_t step, const TileShape& shape, const Placed& f, const Placed& b,
                   T* out) const {
    const int64_t g = size_.fuse_radius, stride = framed_stride(shape, g);
    const int64_t begin = larger(w.begin, step - g), end = smaller(w.end, step + g + 1);
    Vector<Integer<T>> any{};
    for (int64_t i = 0; i < shape.rows; ++i) {
      T* row = out + (i + 2 * g) * stride + 2 * g;
      fill(row, shape.columns, T(0));
      if (i < f.begin || i >= f.end) continue;
      const T* from = gradient_row(begin, i) + size_.row.at(w.offset + begin, w.u0);
      const int64_t next = owned_row_step() + size_.row.stride();
      with_count(end - begin, [&](auto count) {
        int64_t j = b.begin;
        for (; j + kLanes<T> <= b.end; j += kLanes<T>) {
          Vector<T> total = load(from + j);
          for (int64_t s = 1; s < count; ++s) total += load(from + s * next + j);
          any |= total != Vector<T>{};
          store(row + j, total);
        }
        for (; j < b.end; ++j) {
          T total = from[j];
          for (int64_t s = 1; s < count; ++s) total += from[s * next + j];
          any[0] |= total != 0 ? -1 : 0;
          row[j] = total;
        }
      });
    }
    bool found = false;
    for (int lane = 0; lane < kLanes<T>; ++lane) found |= any[lane] != 0;
    return found;
  }

  const T* gradient_row(int64_t step, int64_t i) const {
    const int64_t y = owned_.positions.y0 + step - strip_.positions.y0,
                  x = owned_.positions.x0 + i - strip_.positions.x0;
    return gradient_ + (y * strip_.positions.width() + x) * stride_;
  }
  int64_t owned_row_step() const { return strip_.positions.width() * stride_; }

  // The row-major pass and the norm: element (i, j) of the tile and its propagation halo goes to row i + g + 2 radius,
  // column j + g + 2 radius. With scores, adds their products with the gradient to score_sum.
  void row_pass(const TileShape& shape, const Placed& f, const Placed& b, const T* scores, const T* in, T* out,
                T* score_sum) const {
    const int64_t g = size_.fuse_radius, radius = size_.box_radius, width = shape.columns + 2 * g;
    const int64_t in_stride = framed_stride(shape, g), out_stride = framed_stride(shape, radius);
    const T* norm = sample_.reciprocal_norm(b.position - g);
    for (int64_t i = 0; i < shape.rows + 2 * g; ++i) {
      T* row = out + (i + 2 * radius) * out_stride + 2 * radius;
      const int64_t p = f.position + i - g;
      if (p < 0 || p >= size_.P) {
        fill(row, round_up(width, int64_t{kLanes<T>}), T(0));
        continue;
      }
      with_count(2 * g + 1, [&](auto count) {
        for (int64_t j = 0; j < width; j += kLanes<T>) {
          Vector<T> total{};
          for (int64_t d = 0; d < count; ++d) total += load(in + (i + d) * in_stride + d + j);
          store(row + j, total * load(norm + j));
          if (!scores) continue;
          T* sum = score_sum + b.position - g + j;
          // What lies past the tile's columns may hold anything; its gradient is 0.
          store(sum, load(sum) + keep_where<T>(total != Vector<T>{}, load(scores + i * shape.stride + j) * total));
        }
      });
    }
  }

  // The horizontal taps: out is the gradient of the vertical sums, over the whole Gram tile.
  void horizontal_taps(const TileShape& shape, const Placed& f, const Placed& b, const T* in, T* out) const {
    const int64_t radius = size_.box_radius, stride = framed_stride(shape, radius), step = sample_.tap_stride();
    for (int64_t i = 0; i < shape.gram_rows(); ++i) {
      T* row = out + i * shape.stride;
      const int64_t p = f.position + i - size_.halo;
      if (p < 0 || p >= size_.P) {
        fill(row, shape.stride, T(0));
        continue;
      }
      // Row i takes from rows i - dx of the tile, as far as they lie in the same row of the map.
      const int64_t x = p % size_.wf, first = larger(-radius, x - (size_.wf - 1)), last = smaller(radius, x);
      const T* from = in + (i + radius - first) * stride + radius - first;
      const Integer<T>* allowed = sample_.tap_allowed(first, b.position - size_.halo - first);
      with_count(last - first + 1, [&](auto count) {
        for (int64_t j = 0; j < shape.gram_columns(); j += kLanes<T>) {
          Vector<T> total{};
          for (int64_t tap = 0; tap < count; ++tap)
            total += keep_where<T>(load(allowed + tap * (step - 1) + j), load(from - tap * (stride + 1) + j));
          store(row + j, total);
        }
      });
    }
  }

  const Sample<T>& sample_;
  const Geometry& size_;
  const PackedBackground<T>& background_;
  const T* b_rows_;
  const Strip& strip_;
  const Strip& owned_;
  Walks<T> walks_;
  const T* gradient_;
  int64_t stride_;
};

}  // namespace
}  // namespace gica::cpu
