// Rows of attention: maximum, exponentials and sum of one foreground position against all of the background, and for
// every tile of the background an upper bound of its attention.
#pragma once

#include "buffer.h"
#include "simd.h"

#include "gica/geometry.h"

namespace gica::cpu {
namespace {

template <class T>
struct RowStatistics {
  T max, sum, reciprocal;  // attention = exp(z - max) * reciprocal
};

template <class T>
class Softmax {
 public:
  static int64_t scratch(const Geometry& size) { return round_up(size.wb, 16) + 16; }

  // One row's z becomes exp(z - max), in place; bounds[tile] becomes the largest attention of the positions that enter
  // the tile of Abar. `masked` positions hold -inf; `kept` of them stay in the denominator as exp(0).
  static RowStatistics<T> row(const Geometry& size, int64_t kept, T* z, T* bounds, T* column_max) {
    RowStatistics<T> s;
    const bool poisoned = tile_maxima(size, z, bounds, column_max);
    s.max = kept > 0 ? T(0) : -infinity();
    for (int64_t tile = 0; tile < size.background_tiles.count(); ++tile) s.max = larger(s.max, bounds[tile]);
    if (poisoned || s.max == infinity()) return poison(size, z, bounds);
    if (s.max == -infinity()) return nothing(size, z, bounds);
    s.sum = exponentials(size, s.max, z, bounds);
    if (kept > 0) s.sum += static_cast<T>(kept) * exp_of(-s.max);
    s.reciprocal = T(1) / s.sum;
    for (int64_t tile = 0; tile < size.background_tiles.count(); ++tile)
      bounds[tile] = exp_of(bounds[tile] - s.max) * s.reciprocal;
    return s;
  }

  struct Largest {
    int64_t y, x;
    T value;
  };
  // The first position of the largest z; NaN counts as larger than any number. (0, 0) and -inf where all are masked.
  static Largest first_largest(const Geometry& size, const T* z) {
    Largest best = {0, 0, -infinity()};
    for (int64_t y = 0; y < size.hb; ++y) {
      const T* row = z + size.row.at(y, 0);
      for (int64_t x = 0; x < size.wb; ++x)
        if (!(row[x] <= best.value)) {
          best = {y, x, row[x]};
          if (row[x] != row[x]) return best;
        }
    }
    return best;
  }

 private:
  static T infinity() { return static_cast<T>(__builtin_inf()); }
  static T exp_of(T x) { return exp_nonpositive<T>(splat<T>(x))[0]; }

  // bounds[tile] = largest z of the tile's contributing positions. Returns whether any z is NaN.
  static bool tile_maxima(const Geometry& size, const T* z, T* bounds, T* column_max) {
    const TileGrid& grid = size.background_tiles;
    Vector<Integer<T>> nan{};
    for (int64_t ty = 0; ty < grid.rows.count(); ++ty) {
      const int64_t y0 = larger<int64_t>(grid.rows.begin(ty) - 1, 0), y1 = smaller(grid.rows.end(ty), size.hb);
      const T* first = z + size.row.at(y0, 0);
      int64_t x = 0;
      for (; x + kLanes<T> <= size.wb; x += kLanes<T>) {
        Vector<T> most = load(first + x);
        nan |= most != most;
        for (int64_t y = 1; y < y1 - y0; ++y) {
          const Vector<T> next = load(first + y * size.row.stride() + x);
          nan |= next != next;
          most = larger_of<T>(next, most);
        }
        store(column_max + x, most);
      }
      for (; x < size.wb; ++x) {
        T most = first[x];
        for (int64_t y = 0; y < y1 - y0; ++y) {
          const T next = first[y * size.row.stride() + x];
          nan[0] |= next != next ? -1 : 0;
          most = next > most ? next : most;
        }
        column_max[x] = most;
      }
      for (int64_t tx = 0; tx < grid.columns.count(); ++tx) {
        const int64_t x0 = larger<int64_t>(grid.columns.begin(tx) - 1, 0), x1 = smaller(grid.columns.end(tx), size.wb);
        T most = column_max[x0];
        for (int64_t i = x0 + 1; i < x1; ++i) most = larger(most, column_max[i]);
        bounds[ty * grid.columns.count() + tx] = most;
      }
    }
    bool any = false;
    for (int lane = 0; lane < kLanes<T>; ++lane) any |= nan[lane] != 0;
    return any;
  }

  // z = exp(z - max); tiles whose exponentials all vanish are only cleared. Returns the sum.
  static T exponentials(const Geometry& size, T max, T* z, const T* bounds) {
    const TileGrid& grid = size.background_tiles;
    Vector<T> total{};
    T rest = 0;
    for (int64_t ty = 0; ty < grid.rows.count(); ++ty) {
      const int64_t y0 = grid.rows.begin(ty), y1 = smaller(grid.rows.end(ty), size.hb);
      const T* bound = bounds + ty * grid.columns.count();
      for (int64_t tx = 0; tx < grid.columns.count();) {
        const bool alive = bound[tx] - max >= ExpConstants<T>::lowest;
        const int64_t x0 = grid.columns.begin(tx);
        for (++tx; tx < grid.columns.count() && (bound[tx] - max >= ExpConstants<T>::lowest) == alive;) ++tx;
        const int64_t x1 = smaller(grid.columns.end(tx - 1), size.wb);
        for (int64_t y = y0; y < y1; ++y) {
          T* row = z + size.row.at(y, 0);
          if (alive)
            exponentiate(row + x0, x1 - x0, max, total, rest);
          else
            fill(row + x0, x1 - x0, T(0));
        }
      }
    }
    return sum_lanes<T>(total) + rest;
  }

  static void exponentiate(T* z, int64_t count, T max, Vector<T>& total, T& rest) {
    int64_t x = 0;
    for (; x + kLanes<T> <= count; x += kLanes<T>) {
      const Vector<T> e = exp_nonpositive<T>(load(z + x) - max);
      total += e;
      store(z + x, e);
    }
    if (x < count) {
      Vector<T> last = splat<T>(-infinity());
      for (int64_t lane = 0; x + lane < count; ++lane) last[lane] = z[x + lane];
      last = exp_nonpositive<T>(last - max);
      for (int64_t lane = 0; x + lane < count; ++lane) rest += z[x + lane] = last[lane];
    }
  }

  // A NaN or +inf score makes the whole row NaN, but for what is masked.
  static RowStatistics<T> poison(const Geometry& size, T* z, T* bounds) {
    const T nan = static_cast<T>(__builtin_nan(""));
    for (int64_t y = 0; y < size.hb; ++y) {
      T* row = z + size.row.at(y, 0);
      for (int64_t x = 0; x < size.wb; ++x) row[x] = row[x] == -infinity() ? T(0) : nan;
    }
    fill(bounds, size.background_tiles.count(), nan);
    return {nan, nan, nan};
  }
  // Nothing may be copied and nothing stays in the denominator.
  static RowStatistics<T> nothing(const Geometry& size, T* z, T* bounds) {
    fill(z, size.row.size(), T(0));
    fill(bounds, size.background_tiles.count(), T(0));
    return {-infinity(), T(0), T(0)};
  }
};

}  // namespace
}  // namespace gica::cpu
