// The forward pass and the match, strip by strip: scores, softmax, and the block-sparse paste product.
#pragma once

#include "pixel_tiles.h"
#include "strip_attention.h"

#include "gica/kernels.h"

namespace gica::cpu {
namespace {

// What the pasted sum is divided by at a position of the Abar grid: 4, or the number of patches that cover it.
inline int64_t paste_divisor(Semantics semantics, const Geometry& size, int64_t i, int64_t j) {
  if (semantics != Semantics::mmagic) return 4;
  return (i == 0 || i == size.hf ? 1 : 2) * (j == 0 || j == size.wf ? 1 : 2);
}

// line[x - x0] = 0 where output pixel (row, x) is not wanted; the query is `scale` times smaller than the output.
template <class T>
void clear_unwanted(const Mask& query, int64_t n, int64_t row, int64_t x0, int64_t x1, int64_t scale, T* line) {
  if (!query.data) return;
  const uint8_t* at = query.data + n * query.batch_stride + row / scale * query.row_stride;
  for (int64_t x = x0; x < x1; ++x)
    if (!at[x / scale * query.column_stride]) line[x - x0] = T(0);
}

// What every pass that needs attention has in common: one sample at a time, its strips, their attention.
template <class T>
class AttentionPass {
 public:
  AttentionPass(const Inputs& in, const ParallelFor& loop)
      : in(in),
        loop(loop),
        size(in),
        plan(size, StripAttention<T>::row_stride(size) * int64_t{sizeof(T)}, strip_bytes(in)),
        segments(size.wb),
        sample(in, size, loop.workers),
        background(sample, segments),
        attention(size, plan),
        walk_memory(loop.workers, walk_scratch()),
        row_memory(loop.workers, Softmax<T>::scratch(size)) {}

  explicit operator bool() const { return sample && background && attention && walk_memory && row_memory; }

  void start_sample(int64_t n) {
    sample.prepare(n, loop);
    background.prepare(loop);
    attention.find_valid_tiles(sample);
  }

  // Leaves the strip's scores, scaled by `scale`, in attention.
  void compute_scores(const Strip& strip, T scale) {
    StripScores<T>(sample, background, segments, strip, scale, attention.z(), attention.stride())
        .compute(loop, walk_memory);
  }

  int64_t position(const Strip& strip, int64_t local) const {
    const int64_t width = strip.positions.width();
    return (strip.positions.y0 + local / width) * size.wf + strip.positions.x0 + local % width;
  }

  const Inputs& in;
  const ParallelFor& loop;
  const Geometry size;
  const StripPlan plan;
  const Segments segments;
  Sample<T> sample;
  PackedBackground<T> background;
  StripAttention<T> attention;
  WorkerBuffer<T> walk_memory, row_memory;

 private:
  static int64_t strip_bytes(const Inputs& in) {
    if (in.options.strip_bytes > 0) return in.options.strip_bytes;
    // Larger strips repeat less of the match product at their edges; four times the pixels pasted is where that is
    // small and the whole still a few times the output. docs/benchmarks.md has the measurement.
    const Image& v = in.values;
    const int64_t pixels = v.channels * v.height * v.width * int64_t{sizeof(T)};
    return smaller(larger(4 * pixels, int64_t{40} << 20), int64_t{1} << 30);
  }
  int64_t walk_scratch() const {
    int64_t widest = 0;
    for (int64_t i = 0; i < plan.count(); ++i) widest = larger(widest, plan.strip(i).positions.width());
    return StripScores<T>::scratch(size, TileShape::of(size, widest, segments.widest()));
  }
};

// Writes the arg-max of a row of scores as (row, column) of the background.
template <class T>
T write_offset(const Geometry& size, int64_t n, int64_t p, const T* z, int64_t* offsets) {
  const auto best = Softmax<T>::first_largest(size, z);
  offsets[2 * n * size.P + p] = best.y;
  offsets[(2 * n + 1) * size.P + p] = best.x;
  return best.value;
}

inline void mark_unwanted(const Geometry& size, int64_t n, const uint8_t* wanted, int64_t* offsets) {
  for (int64_t p = 0; p < size.P; ++p)
    if (!wanted[p]) offsets[2 * n * size.P + p] = offsets[(2 * n + 1) * size.P + p] = -1;
}

template <class T>
class Forward {
 public:
  Forward(const ForwardParams& params, const ParallelFor& loop)
      : params_(params),
        pass_(params.in, loop),
        size_(pass_.size),
        values_(size_),
        block_(loop.workers, kTileArea * kTileArea),
        pasted_(loop.workers, kTileArea * values_.columns()),
        bounds_(loop.workers, size_.background_tiles.count()),
        line_(loop.workers, PixelTiles<T>::line_room(size_)) {}

  Status run() {
    if (!pass_ || !values_ || !block_ || !pasted_ || !bounds_ || !line_) return Status::out_of_memory;
    for (int64_t n = 0; n < size_.batch; ++n) {
      pass_.start_sample(n);
      parallel(pass_.loop, size_.background_tiles.count(), [&](int64_t tile, int worker) {
        const Box box = tile_box(size_.background_tiles, tile);
        pack_pixels(size_, params_.in.values, params_.in.dtype, n, box, values_.tile(box), line_.of(worker));
      });
      for (int64_t i = 0; i < pass_.plan.count(); ++i) run_strip(n, pass_.plan.strip(i));
      if (params_.offsets) mark_unwanted(size_, n, pass_.sample.wanted.data(), params_.offsets);
    }
    return Status::ok;
  }

 private:
  void run_strip(int64_t n, const Strip& strip) {
    pass_.compute_scores(strip, static_cast<T>(params_.in.options.softmax_scale));
    pass_.attention.normalise(pass_.sample, strip, pass_.loop, pass_.row_memory, [&](int64_t, int64_t p, const T* z) {
      if (params_.offsets) write_offset(size_, n, p, z, params_.offsets);
    });
    for (int64_t local = 0; local < strip.positions.area(); ++local) {
      const int64_t at = n * size_.P + pass_.position(strip, local);
      static_cast<T*>(params_.row_max)[at] = pass_.attention.statistics(local).max;
      static_cast<T*>(params_.row_sum)[at] = pass_.attention.statistics(local).sum;
    }
    const int64_t across = strip.tiles.width();
    parallel(pass_.loop, strip.tiles.area(), [&](int64_t task, int worker) {
      const int64_t columns = size_.foreground_tiles.columns.count();
      paste(n, strip, (strip.tiles.y0 + task / across) * columns + strip.tiles.x0 + task % across, worker);
    });
  }

  // Is anything of a box wanted, of a map whose rows are `stride` apart?
  static bool any(const uint8_t* wanted, int64_t stride, const Box& box) {
    for (int64_t y = box.y0; y < box.y1; ++y)
      for (int64_t x = box.x0; x < box.x1; ++x)
        if (wanted[y * stride + x]) return true;
    return false;
  }

  void paste(int64_t n, const Strip& strip, int64_t tile, int worker) {
    const Box f = tile_box(size_.foreground_tiles, tile);
    const int64_t tiles = size_.background_tiles.count();
    uint8_t* live = params_.live + (n * size_.foreground_tiles.count() + tile) * tiles;
    fill(live, tiles, uint8_t(0));
    T *block = block_.of(worker), *pasted = pasted_.of(worker), *bounds = bounds_.of(worker);
    const bool shown = any(pass_.sample.wanted_grid.data(), size_.wf + 1, f);
    // A position may reach a wanted pixel of the next tile only; the backward looks for it here all the same.
    const Box own = {f.y0, smaller(f.y1, size_.hf), f.x0, smaller(f.x1, size_.wf)};
    bool started = false;
    if (shown || any(pass_.sample.wanted.data(), size_.wf, own)) {
      const bool skip = params_.in.options.skip;
      const T threshold = skip ? dead_below<T>(params_.in, size_) : T(-1);
      pass_.attention.bound(strip, f, bounds);
      for (int64_t t = 0; t < tiles; ++t) {
        if (!pass_.attention.tile_valid(t) || bounds[t] <= threshold) continue;
        const Box b = tile_box(size_.background_tiles, t);
        if (!pass_.attention.gather(strip, f, b, threshold, block)) continue;
        live[t] = 1;
        if (!shown) continue;
        multiply(started, f.area(), size_.columns, b.area(), block, b.area(), 1, values_.tile(b), pasted,
                 values_.columns());
        started = true;
      }
    }
    if (!started) fill(pasted, f.area() * values_.columns(), T(0));
    write(n, f, pasted, line_.of(worker));
  }

  void write(int64_t n, const Box& f, const T* pasted, T* line) const {
    const Image& y = params_.y;
    const Inputs& in = params_.in;
    const int64_t phases = size_.phases, x0 = phases * f.x0 - size_.before, x1 = phases * f.x1 - size_.before;
    const int64_t begin = larger<int64_t>(x0, 0), end = smaller(x1, y.width), scale = phases / in.options.rate;
    T share[kTileArea];
    for (int64_t i = f.y0; i < f.y1; ++i)
      for (int64_t j = f.x0; j < f.x1; ++j)
        share[(i - f.y0) * f.width() + j - f.x0] =
            T(1) / static_cast<T>(paste_divisor(in.options.semantics, size_, i, j));
    with_type(in.dtype, y.data, [&](auto* data) {
      for (int64_t c = 0; c < size_.value_channels; ++c)
        for (int64_t i = f.y0; i < f.y1; ++i)
          for (int64_t ry = 0; ry < phases; ++ry) {
            const int64_t row = phases * i - size_.before + ry;
            if (row < 0 || row >= y.height) continue;
            const int64_t first = (i - f.y0) * f.width();
            const T* from = pasted + first * values_.columns() + ry * phases * size_.value_channels + c;
            for (int64_t j = 0; j < f.width(); ++j, from += values_.columns())
              for (int64_t rx = 0; rx < phases; ++rx)
                line[j * phases + rx] = share[first + j] * from[rx * size_.value_channels];
            clear_unwanted(in.query, n, row, begin, end, scale, line + begin - x0);
            encode_line(data + row_offset(y, n, c, row), y.stride[3], begin, end, line + begin - x0);
          }
    });
  }

  const ForwardParams& params_;
  AttentionPass<T> pass_;
  const Geometry& size_;
  PixelTiles<T> values_;
  WorkerBuffer<T> block_, pasted_, bounds_, line_;
};

template <class T>
Status match(const MatchParams& params, const ParallelFor& loop) {
  AttentionPass<T> pass(params.in, loop);
  if (!pass) return Status::out_of_memory;
  const Geometry& size = pass.size;
  T* scores = static_cast<T*>(params.scores);
  for (int64_t n = 0; n < size.batch; ++n) {
    pass.start_sample(n);
    fill(scores + n * size.P, size.P, -static_cast<T>(__builtin_inf()));
    for (int64_t i = 0; i < pass.plan.count(); ++i) {
      const Strip strip = pass.plan.strip(i);
      pass.compute_scores(strip, T(1));
      parallel(loop, strip.positions.area(), [&](int64_t local, int) {
        const int64_t p = pass.position(strip, local);
        if (pass.sample.wanted[p])
          scores[n * size.P + p] = write_offset(size, n, p, pass.attention.row(local), params.offsets);
      });
    }
    mark_unwanted(size, n, pass.sample.wanted.data(), params.offsets);
  }
  return Status::ok;
}

}  // namespace
}  // namespace gica::cpu
