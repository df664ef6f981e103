// One sample made ready: reduced maps in the layouts the products read, norms, masks.
#pragma once

#include "buffer.h"
#include "gemm.h"
#include "pixels.h"

#include "gica/geometry.h"

namespace gica::cpu {
namespace {

// out[y, x] = sum of in over the (2 radius + 1)^2 window, 0 outside the map; partial is scratch of the map's size.
template <class T>
void box_sum(const T* in, T* partial, T* out, int64_t height, int64_t width, int64_t radius) {
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      T total = 0;
      for (int64_t i = larger<int64_t>(x - radius, 0); i <= smaller(x + radius, width - 1); ++i)
        total += in[y * width + i];
      partial[y * width + x] = total;
    }
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      T total = 0;
      for (int64_t i = larger<int64_t>(y - radius, 0); i <= smaller(y + radius, height - 1); ++i)
        total += partial[i * width + x];
      out[y * width + x] = total;
    }
}

// One rounding of a norm moves every score of its column by as many digits as the score has before the point, so norms
// are summed in a wider type and rounded once.
template <class T>
struct WiderOf;
template <>
struct WiderOf<float> {
  using type = double;
};
template <>
struct WiderOf<double> {
  using type = long double;
};
template <class T>
using Wider = typename WiderOf<T>::type;

inline double square_root(double x) {
  return __builtin_sqrt(x);
}
inline long double square_root(long double x) {
  return __builtin_sqrtl(x);
}

template <class T>
class Sample {
 public:
  using I = Integer<T>;

  Sample(const Inputs& inputs, const Geometry& geometry, int workers)
      : in(inputs),
        size(geometry),
        pad(round_up(2 * geometry.fuse_radius + 128, 16)),
        b_stride(round_up(geometry.Q, 32) + 16),
        f_rows(geometry.P * geometry.channels),
        b_columns(geometry.channels * b_stride),
        wanted_grid((geometry.hf + 1) * (geometry.wf + 1)),
        wanted(geometry.P),
        reciprocal_norm_(geometry.Q + 2 * pad),
        tap_allowed_(inputs.options.ksize * (geometry.Q + 2 * pad)),
        valid_(geometry.Q + 2 * pad),
        energy_(geometry.Q),
        boxed_(geometry.Q),
        partial_(geometry.Q),
        row_(workers, larger(in.f.width, in.b.width)) {}

  explicit operator bool() const {
    return f_rows && b_columns && wanted_grid && wanted && reciprocal_norm_ && tap_allowed_ && valid_ && energy_ &&
           boxed_ && partial_ && row_;
  }

  void prepare(int64_t n, const ParallelFor& loop) {
    reduce_f(n, loop);
    reduce_b(n, loop);
    find_taps();
    find_valid(n);
    find_wanted(n);
  }

  // The arrays below may be read a little outside the map, where they are 0.
  // 1 / max(|patch of b|, 1e-4)
  const T* reciprocal_norm(int64_t q) const { return reciprocal_norm_.data() + pad + q; }
  // -1 where the whole patch of b is known
  const I* valid(int64_t q) const { return valid_.data() + pad + q; }
  // -1 where position q of b exists and has a neighbour dx columns on in its own row
  const I* tap_allowed(int64_t dx, int64_t q) const {
    return tap_allowed_.data() + (dx + size.box_radius) * tap_stride() + pad + q;
  }
  int64_t tap_stride() const { return size.Q + 2 * pad; }  // from one dx to the next

  const Inputs& in;
  const Geometry& size;
  const int64_t pad;
  const int64_t b_stride;  // between the channels of b_columns; no power of two, whose lines would share cache sets
  Buffer<T> f_rows;        // [P][C]
  Buffer<T> b_columns;     // [C][b_stride]
  Buffer<uint8_t> wanted_grid;  // [(hf+1)(wf+1)]: a wanted output pixel lies at this position of the Abar grid
  Buffer<uint8_t> wanted;       // [P]: the attention of this position reaches a wanted output pixel
  int64_t invalid_count = 0;

 private:
  int64_t picked(int64_t i, int64_t n_in, int64_t n_out) const {
    return reduced_index(i, n_in, n_out, in.options.semantics);
  }

  void reduce_f(int64_t n, const ParallelFor& loop) {
    parallel(loop, size.hf, [&](int64_t y, int worker) {
      T* row = row_.of(worker);
      for (int64_t c = 0; c < size.channels; ++c) {
        read_row(in.f, in.dtype, n, c, picked(y, in.f.height, size.hf), row);
        for (int64_t x = 0; x < size.wf; ++x)
          f_rows[(y * size.wf + x) * size.channels + c] = row[picked(x, in.f.width, size.wf)];
      }
    });
  }

  void reduce_b(int64_t n, const ParallelFor& loop) {
    parallel(loop, size.hb, [&](int64_t y, int worker) {
      T* row = row_.of(worker);
      Wider<T>* energy = energy_.data() + y * size.wb;
      fill(energy, size.wb, Wider<T>(0));
      for (int64_t c = 0; c < size.channels; ++c) {
        read_row(in.b, in.dtype, n, c, picked(y, in.b.height, size.hb), row);
        T* out = b_columns.data() + c * b_stride + y * size.wb;
        for (int64_t x = 0; x < size.wb; ++x) {
          out[x] = row[picked(x, in.b.width, size.wb)];
          energy[x] += static_cast<Wider<T>>(out[x]) * out[x];
        }
      }
    });
    for (int64_t c = 0; c < size.channels; ++c) fill(b_columns.data() + c * b_stride + size.Q, b_stride - size.Q, T(0));
    T* norm = reciprocal_norm_.data() + pad;
    fill(reciprocal_norm_.data(), size.Q + 2 * pad, T(0));
    box_sum(energy_.data(), partial_.data(), boxed_.data(), size.hb, size.wb, size.box_radius);
    for (int64_t q = 0; q < size.Q; ++q)
      norm[q] = boxed_[q] <= Wider<T>(1e-8) ? T(1e4) : static_cast<T>(1 / square_root(boxed_[q]));
  }

  void find_taps() {
    fill(tap_allowed_.data(), in.options.ksize * (size.Q + 2 * pad), I(0));
    for (int64_t dx = -size.box_radius; dx <= size.box_radius; ++dx) {
      I* allowed = const_cast<I*>(tap_allowed(dx, 0));
      for (int64_t q = 0; q < size.Q; ++q) {
        const int64_t x = q % size.wb + dx;
        allowed[q] = x >= 0 && x < size.wb ? -1 : 0;
      }
    }
  }

  void find_valid(int64_t n) {
    fill(valid_.data(), size.Q + 2 * pad, I(0));
    I* valid = valid_.data() + pad;
    if (!in.hole.data) {
      fill(valid, size.Q, I(-1));
      invalid_count = 0;
      return;
    }
    // Counting hole pixels in the patch's window decides it: exact in any floating type.
    for (int64_t y = 0; y < size.hb; ++y)
      for (int64_t x = 0; x < size.wb; ++x) {
        const uint8_t* at = in.hole.data + n * in.hole.batch_stride +
                            picked(y, in.b.height, size.hb) * in.hole.row_stride +
                            picked(x, in.b.width, size.wb) * in.hole.column_stride;
        energy_[y * size.wb + x] = *at ? 1 : 0;
      }
    box_sum(energy_.data(), partial_.data(), boxed_.data(), size.hb, size.wb, size.box_radius);
    invalid_count = 0;
    for (int64_t q = 0; q < size.Q; ++q) {
      valid[q] = boxed_[q] == 0 ? -1 : 0;
      invalid_count += valid[q] == 0;
    }
  }

  void find_wanted(int64_t n) {
    const int64_t rows = size.hf + 1, columns = size.wf + 1, scale = size.phases / in.options.rate;
    fill(wanted_grid.data(), rows * columns, uint8_t(in.query.data ? 0 : 1));
    for (int64_t y = 0; in.query.data && y < in.f.height; ++y)
      for (int64_t x = 0; x < in.f.width; ++x) {
        if (!in.query.data[n * in.query.batch_stride + y * in.query.row_stride + x * in.query.column_stride]) continue;
        // One query pixel stands for scale x scale output pixels, which may lie in two positions per axis.
        const int64_t i0 = (y * scale + size.before) / size.phases, j0 = (x * scale + size.before) / size.phases;
        const int64_t i1 = (y * scale + scale - 1 + size.before) / size.phases;
        const int64_t j1 = (x * scale + scale - 1 + size.before) / size.phases;
        for (int64_t i = i0; i <= i1; ++i)
          for (int64_t j = j0; j <= j1; ++j) wanted_grid[i * columns + j] = 1;
      }
    for (int64_t y = 0; y < size.hf; ++y)
      for (int64_t x = 0; x < size.wf; ++x) {
        const uint8_t* at = wanted_grid.data() + y * columns + x;
        wanted[y * size.wf + x] = at[0] | at[1] | at[columns] | at[columns + 1];
      }
  }

  Buffer<T> reciprocal_norm_;
  Buffer<I> tap_allowed_;
  Buffer<I> valid_;
  Buffer<Wider<T>> energy_, boxed_, partial_;
  WorkerBuffer<T> row_;
};

}  // namespace
}  // namespace gica::cpu
