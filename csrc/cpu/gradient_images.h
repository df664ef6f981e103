// Gradients of the reduced maps, summed in a fixed number of lanes so that the result does not depend on the number of
// threads, and written into the pixels that the reduction picked.
#pragma once

#include "walk_backward.h"

namespace gica::cpu {
namespace {

template <class T>
class MapGradients {
 public:
  static constexpr int kLanes = 8;

  MapGradients(const Sample<T>& sample, const ParallelFor& loop, bool need_f, bool need_b)
      : sample_(sample),
        size_(sample.size),
        channels_(padded<T>(size_.channels)),
        need_f_(need_f),
        need_b_(need_b),
        b_rows_(need_f ? size_.Q * channels_ : 0),
        f_(need_f ? kLanes * size_.P * channels_ : 0),
        b_(need_b ? kLanes * size_.Q * channels_ : 0),
        score_stride_(size_.Q + 2 * sample.pad),
        score_(need_b ? kLanes * score_stride_ : 0),
        weight_(need_b ? size_.Q : 0),
        partial_(need_b ? size_.Q : 0),
        picked_(larger(sample.in.f.height + sample.in.f.width, sample.in.b.height + sample.in.b.width)) {
    (void)loop;
  }

  explicit operator bool() const { return b_rows_ && f_ && b_ && score_ && weight_ && partial_ && picked_; }

  // b at match resolution, [Q][padded channels].
  const T* b_rows() const { return b_rows_.data(); }
  LaneGradients<T> lane(int64_t lane) const {
    return {need_f_ ? f_.data() + lane * size_.P * channels_ : nullptr,
            need_b_ ? b_.data() + lane * size_.Q * channels_ : nullptr,
            need_b_ ? score_.data() + lane * score_stride_ + sample_.pad : nullptr};
  }

  void start_sample(const ParallelFor& loop) {
    parallel(loop, kLanes, [&](int64_t i, int) {
      const LaneGradients<T> out = lane(i);
      if (need_f_) fill(out.f, size_.P * channels_, T(0));
      if (need_b_) fill(out.b, size_.Q * channels_, T(0)), fill(out.score - sample_.pad, score_stride_, T(0));
    });
    if (!need_f_) return;
    parallel(loop, size_.hb, [&](int64_t y, int) {
      for (int64_t q = y * size_.wb; q < (y + 1) * size_.wb; ++q) {
        for (int64_t c = 0; c < size_.channels; ++c)
          b_rows_[q * channels_ + c] = sample_.b_columns[c * sample_.b_stride + q];
        fill(b_rows_.data() + q * channels_ + size_.channels, channels_ - size_.channels, T(0));
      }
    });
  }

  // Sums the lanes into the first, and adds what reaches b through its norms.
  void finish_sample(const ParallelFor& loop) {
    if (need_f_) sum_lanes_of(loop, f_.data(), size_.hf, size_.wf * channels_, size_.P * channels_);
    if (!need_b_) return;
    sum_lanes_of(loop, b_.data(), size_.hb, size_.wb * channels_, size_.Q * channels_);
    sum_lanes_of(loop, score_.data() + sample_.pad, size_.hb, size_.wb, score_stride_);
    for (int64_t q = 0; q < size_.Q; ++q) {
      // score = t / norm: its gradient by the norm is -score / norm, and the norm's by an element of the patch element
      // / norm.
      const T reciprocal = *sample_.reciprocal_norm(q);
      const bool clamped = reciprocal == T(1e4);
      weight_[q] = clamped ? T(0) : -score_[sample_.pad + q] * reciprocal * reciprocal;
    }
    box_sum(weight_.data(), partial_.data(), weight_.data(), size_.hb, size_.wb, size_.box_radius);
    parallel(loop, size_.hb, [&](int64_t y, int) {
      for (int64_t q = y * size_.wb; q < (y + 1) * size_.wb; ++q)
        for (int64_t c = 0; c < size_.channels; ++c)
          b_[q * channels_ + c] += weight_[q] * sample_.b_columns[c * sample_.b_stride + q];
    });
  }

  // start(c, row, width, line) fills a row of the image before the gradients of its picked pixels are added.
  template <class Start>
  void write_f(int64_t n, const Image& image, Dtype dtype, const ParallelFor& loop, const WorkerBuffer<T>& line,
               const Start& start) {
    write(n, image, dtype, loop, line, f_.data(), size_.hf, size_.wf, start);
  }
  template <class Start>
  void write_b(int64_t n, const Image& image, Dtype dtype, const ParallelFor& loop, const WorkerBuffer<T>& line,
               const Start& start) {
    write(n, image, dtype, loop, line, b_.data(), size_.hb, size_.wb, start);
  }

 private:
  void sum_lanes_of(const ParallelFor& loop, T* lanes, int64_t rows, int64_t row, int64_t lane_size) const {
    parallel(loop, rows, [&](int64_t y, int) {
      for (int lane = 1; lane < kLanes; ++lane) {
        T* out = lanes + y * row;
        const T* in = out + lane * lane_size;
        for (int64_t i = 0; i < row; ++i) out[i] += in[i];
      }
    });
  }

  template <class Start>
  void write(int64_t n, const Image& image, Dtype dtype, const ParallelFor& loop, const WorkerBuffer<T>& line,
             const T* gradient, int64_t height, int64_t width, const Start& start) {
    const Semantics semantics = sample_.in.options.semantics;
    int64_t *row_of = picked_.data(), *column_of = row_of + image.height;
    fill(row_of, image.height + image.width, int64_t{-1});
    for (int64_t y = 0; y < height; ++y) row_of[reduced_index(y, image.height, height, semantics)] = y;
    for (int64_t x = 0; x < width; ++x) column_of[reduced_index(x, image.width, width, semantics)] = x;
    parallel(loop, image.height, [&](int64_t row, int worker) {
      T* out = line.of(worker);
      for (int64_t c = 0; c < image.channels; ++c) {
        start(c, row, image.width, out);
        if (row_of[row] >= 0)
          for (int64_t x = 0; x < image.width; ++x)
            if (column_of[x] >= 0) out[x] += gradient[(row_of[row] * width + column_of[x]) * channels_ + c];
        write_row(image, dtype, n, c, row, out);
      }
    });
  }

  const Sample<T>& sample_;
  const Geometry& size_;
  const int64_t channels_;
  const bool need_f_, need_b_;
  Buffer<T> b_rows_, f_, b_;
  const int64_t score_stride_;
  Buffer<T> score_, weight_, partial_;
  Buffer<int64_t> picked_;
};

}  // namespace
}  // namespace gica::cpu
