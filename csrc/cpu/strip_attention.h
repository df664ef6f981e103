// The attention of one strip: unnormalised rows, their reciprocals and bounds, and from them blocks of Abar, the sum
// of attention that shares its output pixel.
#pragma once

#include "softmax.h"
#include "walk.h"

namespace gica::cpu {
namespace {

// Eight neighbouring columns, the side of a tile.
template <class T>
struct OctetOf {
  typedef T type __attribute__((vector_size(8 * sizeof(T))));
  typedef T unaligned __attribute__((vector_size(8 * sizeof(T)), aligned(sizeof(T)), may_alias));
};
template <class T>
using Octet = typename OctetOf<T>::type;
template <class T>
inline Octet<T> load_octet(const T* p) {
  return *reinterpret_cast<const typename OctetOf<T>::unaligned*>(p);
}
template <class T>
inline void store_octet(T* p, Octet<T> v) {
  *reinterpret_cast<typename OctetOf<T>::unaligned*>(p) = v;
}

// Up to four rows that share one output position: where each begins, moved by its shift, and its weight.
template <class T>
struct SharedRows {
  const T* row[4];
  T weight[4];
  int count = 0;
  void add(const T* from, T w) { row[count] = from, weight[count++] = w; }
};

// out[position of the box] = weighted sum of the rows there; rows are maps with `stride` between their lines.
// see(octet) is called on every sum, alone or with others.
template <class T, class See>
void sum_shared(const SharedRows<T>& rows, const Box& box, int64_t stride, T* out, const See& see) {
  for (int64_t y = box.y0; y < box.y1; ++y) {
    int64_t x = box.x0;
    for (; x + 8 <= box.x1; x += 8, out += 8) {
      Octet<T> total{};
      for (int r = 0; r < rows.count; ++r) total += rows.weight[r] * load_octet(rows.row[r] + y * stride + x);
      store_octet(out, total);
      see(total);
    }
    for (; x < box.x1; ++x, ++out) {
      T total = 0;
      for (int r = 0; r < rows.count; ++r) total += rows.weight[r] * rows.row[r][y * stride + x];
      *out = total;
      see(Octet<T>{} + total);
    }
  }
}

template <class T>
class StripAttention {
 public:
  StripAttention(const Geometry& size, const StripPlan& plan)
      : size_(size),
        stride_(row_stride(size)),
        tiles_(size.background_tiles.count()),
        z_(plan.most_positions() * stride_),
        bounds_(plan.most_positions() * tiles_),
        statistics_(plan.most_positions()),
        tile_valid_(tiles_) {
    if (z_) clear_margins(plan.most_positions());
  }

  explicit operator bool() const { return z_ && bounds_ && statistics_ && tile_valid_; }
  // No power of two, whose lines would share cache sets.
  static int64_t row_stride(const Geometry& size) { return round_up(size.row.size(), 32) + 16; }

  T* z() const { return z_.data(); }
  int64_t stride() const { return stride_; }
  T* row(int64_t local) const { return z_.data() + local * stride_; }
  const RowStatistics<T>& statistics(int64_t local) const { return statistics_[local]; }
  bool tile_valid(int64_t tile) const { return tile_valid_[tile]; }

  // Which tiles of the background have a valid position at all.
  void find_valid_tiles(const Sample<T>& sample) {
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      const Box box = contributing_box(tile_box(size_.background_tiles, tile), size_.hb, size_.wb);
      uint8_t any = 0;
      for (int64_t y = box.y0; y < box.y1; ++y)
        for (int64_t x = box.x0; x < box.x1; ++x) any |= *sample.valid(y * size_.wb + x) != 0;
      tile_valid_[tile] = any;
    }
  }

  // Turns the strip's scores into unnormalised attention. before(local, p, row) sees each row's scores first.
  template <class Before>
  void normalise(const Sample<T>& sample, const Strip& strip, const ParallelFor& loop, const WorkerBuffer<T>& memory,
                 const Before& before) {
    const int64_t width = strip.positions.width();
    const int64_t kept = sample.in.options.semantics == Semantics::mmagic ? 0 : sample.invalid_count;
    parallel(loop, strip.positions.area(), [&](int64_t local, int worker) {
      const int64_t p = (strip.positions.y0 + local / width) * size_.wf + strip.positions.x0 + local % width;
      if (!sample.wanted[p]) {
        statistics_[local] = {T(0), T(0), T(0)};
        fill(row(local), size_.row.size(), T(0));
        fill(bounds_.data() + local * tiles_, tiles_, T(0));
        return;
      }
      before(local, p, row(local));
      statistics_[local] = Softmax<T>::row(size_, kept, row(local), bounds_.data() + local * tiles_, memory.of(worker));
    });
  }

  // An upper bound of Abar for every background tile, for one foreground box.
  void bound(const Strip& strip, const Box& box, T* most) const {
    const Box from = contributing_box(box, size_.hf, size_.wf);
    fill(most, tiles_, T(0));
    for (int64_t y = from.y0; y < from.y1; ++y)
      for (int64_t x = from.x0; x < from.x1; ++x) {
        const T* bounds = bounds_.data() + local(strip, y, x) * tiles_;
        // NaN must win: a comparison with it is false.
        for (int64_t tile = 0; tile < tiles_; ++tile)
          most[tile] = bounds[tile] <= most[tile] ? most[tile] : bounds[tile];
      }
    for (int64_t tile = 0; tile < tiles_; ++tile) most[tile] *= T(4);
  }

  // block[i * b.area() + j] = Abar of the boxes' i-th and j-th positions. Returns whether any is above the threshold,
  // or NaN.
  bool gather(const Strip& strip, const Box& f, const Box& b, T threshold, T* block) const {
    typename OctetOf<Integer<T>>::type above{};
    const auto see = [&](Octet<T> v) { above |= ~(v <= threshold); };
    for (int64_t y = f.y0; y < f.y1; ++y)
      for (int64_t x = f.x0; x < f.x1; ++x, block += b.area()) {
        SharedRows<T> rows;
        for (int64_t dy = 0; dy < 2; ++dy)
          for (int64_t dx = 0; dx < 2; ++dx) {
            if (y - dy < 0 || y - dy >= size_.hf || x - dx < 0 || x - dx >= size_.wf) continue;
            const int64_t at = local(strip, y - dy, x - dx);
            rows.add(row(at) + size_.row.at(-dy, -dx), statistics_[at].reciprocal);
          }
        sum_shared(rows, b, size_.row.stride(), block, see);
      }
    bool any = false;
    for (int lane = 0; lane < 8; ++lane) any |= above[lane] != 0;
    return any;
  }

  static int64_t local(const Strip& strip, int64_t y, int64_t x) {
    return (y - strip.positions.y0) * strip.positions.width() + x - strip.positions.x0;
  }

 private:
  // What lies around the maps is 0 and never written again.
  void clear_margins(int64_t positions) const {
    for (int64_t local = 0; local < positions; ++local) {
      T* map = row(local);
      fill(map, size_.row.at(0, 0), T(0));
      for (int64_t y = 0; y < size_.hb; ++y) map[size_.row.at(y, size_.wb)] = T(0);
      fill(map + size_.row.at(size_.hb, -1), size_.row.stride() + 1, T(0));
    }
  }

  const Geometry& size_;
  int64_t stride_, tiles_;
  Buffer<T> z_, bounds_;
  Buffer<RowStatistics<T>> statistics_;
  Buffer<uint8_t> tile_valid_;
};

// Blocks whose largest entry is below this cannot change an output, or a gradient, beyond rounding (docs/semantics.md).
template <class T>
T dead_below(const Inputs& in, const Geometry& size) {
  double unit = 0;
  switch (in.dtype) {
    case Dtype::float32: unit = 0x1p-24; break;
    case Dtype::float64: unit = 0x1p-53; break;
    case Dtype::bfloat16: unit = 0x1p-9; break;
    case Dtype::float16: unit = 0x1p-12; break;
  }
  return static_cast<T>(unit / static_cast<double>(larger(size.P, size.Q)));
}

}  // namespace
}  // namespace gica::cpu
