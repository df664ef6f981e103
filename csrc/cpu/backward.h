// The backward pass, strip by strip. Attention is recomputed; then, for live blocks of Abar only:
//   values:  transposed paste product Abar^T G;
//   scores:  E = G values^T, gathered into dA; dR = scale * A * (dA - sum of A dA), in place of the attention;
// and the walks carry dR back to the reduced maps.
#pragma once

#include "forward.h"
#include "gradient_images.h"
#include "walk_backward.h"

namespace gica::cpu {
namespace {

template <class T>
class Backward {
 public:
  Backward(const BackwardParams& params, const ParallelFor& loop)
      : params_(params),
        pass_(params.in, loop),
        size_(pass_.size),
        pastes_into_b_(!params.in.separate_values),
        need_f_(params.grad_f.data),
        need_b_(params.grad_b.data),
        need_values_(pastes_into_b_ ? need_b_ : params.grad_values.data != nullptr),
        need_scores_(need_f_ || need_b_),
        columns_(padded<T>(size_.columns)),
        tiles_(size_.background_tiles.count()),
        values_transposed_(need_scores_ ? tiles_ * transposed_room() : 0),
        edges_transposed_(need_scores_ ? tiles_ * edge_room() : 0),
        value_gradients_(size_, need_values_),
        strip_tiles_(most_strip_tiles()),
        pixel_gradients_(strip_tiles_ * kTileArea * columns_),
        extended_gradients_(strip_tiles_ * kExtendedArea * columns_),
        maps_(pass_.sample, loop, need_f_, need_b_),
        block_(loop.workers, kTileArea * kTileArea),
        packed_(loop.workers, kTileArea * columns_),
        line_(loop.workers, larger(PixelTiles<T>::line_room(size_), larger(params.in.f.width, params.in.values.width))),
        product_(loop.workers, need_scores_ ? kExtendedArea * padded<T>(kTileArea) : 0),
        rows_(loop.workers, need_scores_ ? kExtendedArea * (size_.hb + 1) * (size_.wb + 1) : 0),
        attention_gradient_(loop.workers, need_scores_ ? size_.Q + 16 : 0),
        walk_memory_(maps_.kLanes, need_scores_ ? walk_scratch() : 0) {}

  Status run() {
    if (!pass_ || !values_transposed_ || !edges_transposed_ || !value_gradients_ || !pixel_gradients_ ||
        !extended_gradients_ || !maps_ || !block_ || !packed_ || !line_ || !product_ || !rows_ ||
        !attention_gradient_ || !walk_memory_)
      return Status::out_of_memory;
    for (int64_t n = 0; n < size_.batch; ++n) {
      pass_.start_sample(n);
      maps_.start_sample(pass_.loop);
      if (need_values_) value_gradients_.clear(pass_.loop);
      if (need_scores_) transpose_values(n);
      for (int64_t i = 0; i < pass_.plan.count(); ++i) run_strip(n, pass_.plan.strip(i));
      maps_.finish_sample(pass_.loop);
      write(n);
    }
    return Status::ok;
  }

 private:
  static constexpr int64_t kExtendedArea = (kTileSide + 1) * (kTileSide + 1);

  int64_t transposed_room() const { return size_.columns * padded<T>(kTileArea); }
  int64_t edge_room() const { return size_.columns * padded<T>(2 * kTileSide - 1); }
  int64_t most_strip_tiles() const {
    int64_t most = 0;
    for (int64_t i = 0; i < pass_.plan.count(); ++i) most = larger(most, pass_.plan.strip(i).tiles.area());
    return most;
  }
  int64_t walk_scratch() const {
    int64_t widest = 0;
    for (int64_t i = 0; i < pass_.plan.count(); ++i) widest = larger(widest, pass_.plan.strip(i).positions.width());
    return StripScoresBackward<T>::scratch(size_, TileShape::of(size_, widest, pass_.segments.widest()));
  }

  int64_t tile_index(const Strip& strip, int64_t task) const {
    const int64_t across = strip.tiles.width();
    return (strip.tiles.y0 + task / across) * size_.foreground_tiles.columns.count() + strip.tiles.x0 + task % across;
  }
  Box foreground_box(const Strip& strip, int64_t task) const {
    return tile_box(size_.foreground_tiles, tile_index(strip, task));
  }
  // With the next row and column of the grid, where there is one: dA of a position needs E there.
  Box extended(const Box& box) const {
    return {box.y0, smaller(box.y1 + 1, size_.hf + 1), box.x0, smaller(box.x1 + 1, size_.wf + 1)};
  }
  const uint8_t* live(int64_t n, int64_t foreground_tile) const {
    return params_.live + (n * size_.foreground_tiles.count() + foreground_tile) * tiles_;
  }

  // The transposed pixels of every background tile: for each panel of columns, a right operand over them, and one over
  // those of its edge alone.
  void transpose_values(int64_t n) {
    parallel(pass_.loop, tiles_, [&](int64_t tile, int worker) {
      const Box box = tile_box(size_.background_tiles, tile);
      pack_pixels(size_, params_.in.values, params_.in.dtype, n, box, packed_.of(worker), line_.of(worker));
      for_panels([&](int64_t column, int64_t width, int64_t stored) {
        const T* pixels = packed_.of(worker) + column * box.area();
        pack_columns(width, box.area(), pixels, stored, transposed_panel(tile, column));
        T* edge = product_.of(worker);
        for (int64_t i = 0; i < edge_length(box); ++i)
          for (int64_t c = 0; c < stored; ++c) edge[i * stored + c] = pixels[edge_position(box, i) * stored + c];
        pack_columns(width, edge_length(box), edge, stored, edge_panel(tile, column));
      });
    });
  }
  T* transposed_panel(int64_t tile, int64_t column) const {
    return values_transposed_.data() + tile * transposed_room() + column * padded<T>(kTileArea);
  }
  // The edge of a tile is its first row and first column: what the live tiles above and to the left need of it.
  static int64_t edge_length(const Box& box) { return box.width() + box.height() - 1; }
  static int64_t edge_position(const Box& box, int64_t i) {
    return i < box.width() ? i : (i - box.width() + 1) * box.width();
  }
  T* edge_panel(int64_t tile, int64_t column) const {
    return edges_transposed_.data() + tile * edge_room() + column * padded<T>(2 * kTileSide - 1);
  }
  // use(first column, columns, columns as stored) for every panel of the paste product.
  template <class Use>
  void for_panels(const Use& use) const {
    for (int64_t column = 0; column < size_.columns; column += kPanel<T>)
      use(column, smaller(kPanel<T>, size_.columns - column), smaller(kPanel<T>, columns_ - column));
  }

  void run_strip(int64_t n, const Strip& strip) {
    pass_.compute_scores(strip, static_cast<T>(params_.in.options.softmax_scale));
    pass_.attention.normalise(pass_.sample, strip, pass_.loop, pass_.row_memory, [](int64_t, int64_t, const T*) {});
    pack_gradients(n, strip);
    if (need_values_)
      parallel(pass_.loop, tiles_, [&](int64_t tile, int worker) { paste_back(n, strip, tile, worker); });
    if (!need_scores_) return;
    Strip owned = strip;
    owned.positions = {strip.grid.y0, smaller(strip.grid.y1, size_.hf), strip.grid.x0,
                       smaller(strip.grid.x1, size_.wf)};
    parallel(pass_.loop, strip.tiles.area(),
             [&](int64_t task, int worker) { score_gradients(n, strip, task, worker); });
    const StripScoresBackward<T> walks(pass_.sample, pass_.background, maps_.b_rows(), pass_.segments, strip, owned,
                                       pass_.attention.z(), pass_.attention.stride());
    parallel(pass_.loop, maps_.kLanes, [&](int64_t lane, int) {
      for (int64_t walk = lane; walk < walks.walks(); walk += maps_.kLanes)
        walks.follow(walk, maps_.lane(lane), walk_memory_.of(static_cast<int>(lane)));
    });
  }

  // The output's gradient as rows of the paste product, divided as the output was, for every tile of the strip.
  void pack_gradients(int64_t n, const Strip& strip) {
    const int64_t scale = size_.phases / params_.in.options.rate;
    parallel(pass_.loop, strip.tiles.area(), [&](int64_t task, int worker) {
      const auto adjust = [&](int64_t row, int64_t x0, int64_t x1, T* line) {
        const int64_t i = (row + size_.before) / size_.phases;
        for (int64_t x = x0; x < x1; ++x)
          line[x - x0] /=
              static_cast<T>(paste_divisor(params_.in.options.semantics, size_, i, (x + size_.before) / size_.phases));
        const int64_t begin = larger<int64_t>(x0, 0), end = smaller(x1, params_.grad_y.width);
        clear_unwanted(params_.in.query, n, row, begin, end, scale, line + begin - x0);
      };
      const Box box = foreground_box(strip, task);
      const auto pack = [&](const Box& which, T* out) {
        pack_pixels(size_, params_.grad_y, params_.in.dtype, n, which, out, line_.of(worker), adjust);
      };
      if (need_values_) pack(box, pixel_gradients(task));
      if (need_scores_) pack(extended(box), extended_gradients(task));
    });
  }
  T* pixel_gradients(int64_t task) const { return pixel_gradients_.data() + task * kTileArea * columns_; }
  T* extended_gradients(int64_t task) const { return extended_gradients_.data() + task * kExtendedArea * columns_; }

  // One background tile's gradient of the values: the transposed paste product over the strip's live blocks.
  void paste_back(int64_t n, const Strip& strip, int64_t tile, int worker) {
    const Box b = tile_box(size_.background_tiles, tile);
    T* block = block_.of(worker);
    for (int64_t task = 0; task < strip.tiles.area(); ++task) {
      if (!live(n, tile_index(strip, task))[tile]) continue;
      const Box f = foreground_box(strip, task);
      pass_.attention.gather(strip, f, b, T(-1), block);
      for_panels([&](int64_t column, int64_t width, int64_t stored) {
        // Panel by panel: the gradients' panels are as wide as the right operand's.
        multiply<T, true>(b.area(), width, f.area(), block, 1, b.area(), pixel_gradients(task) + column * f.area(),
                          value_gradients_.tile(b) + column * b.area(), stored);
      });
    }
  }

  // One foreground tile's dR, in place of its attention.
  void score_gradients(int64_t n, const Strip& strip, int64_t task, int worker) {
    const Box f = foreground_box(strip, task);
    const uint8_t* alive = live(n, tile_index(strip, task));
    output_products(f, task, alive, worker);
    const Box wide = extended(f);
    for (int64_t y = f.y0; y < smaller(f.y1, size_.hf); ++y)
      for (int64_t x = f.x0; x < smaller(f.x1, size_.wf); ++x) {
        if (!pass_.sample.wanted[y * size_.wf + x]) continue;
        SharedRows<T> rows;
        const int64_t stride = size_.wb + 1, area = (size_.hb + 1) * stride;
        for (int64_t dy = 0; dy < 2; ++dy)
          for (int64_t dx = 0; dx < 2; ++dx)
            rows.add(
                rows_.of(worker) + ((y + dy - wide.y0) * wide.width() + x + dx - wide.x0) * area + dy * stride + dx,
                T(1));
        position_gradient(StripAttention<T>::local(strip, y, x), rows, alive, worker);
      }
  }

  // E = G values^T of the extended tile against every live background tile, and against the edges of those behind them.
  void output_products(const Box& f, int64_t task, const uint8_t* alive, int worker) {
    const Box wide = extended(f);
    const int64_t across = size_.background_tiles.columns.count(), area = (size_.hb + 1) * (size_.wb + 1);
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      const int64_t ty = tile / across, tx = tile % across;
      const bool behind = (tx > 0 && alive[tile - 1]) || (ty > 0 && alive[tile - across]) ||
                          (tx > 0 && ty > 0 && alive[tile - across - 1]);
      if (!alive[tile] && !behind) continue;
      const Box b = tile_box(size_.background_tiles, tile);
      const int64_t count = alive[tile] ? b.area() : edge_length(b), stride = padded<T>(count);
      T* product = product_.of(worker);
      for_panels([&](int64_t column, int64_t width, int64_t stored) {
        multiply(column > 0, wide.area(), count, width, extended_gradients(task) + column * wide.area(), stored, 1,
                 alive[tile] ? transposed_panel(tile, column) : edge_panel(tile, column), product, stride);
      });
      for (int64_t i = 0; i < wide.area(); ++i) {
        const T* from = product + i * stride;
        T* to = rows_.of(worker) + i * area + b.y0 * (size_.wb + 1) + b.x0;
        for (int64_t y = 0; y < b.height(); ++y, to += size_.wb + 1) {
          const int64_t length = alive[tile] || y == 0 ? b.width() : 1;
          for (int64_t x = 0; x < length; ++x) to[x] = *from++;
        }
      }
    }
  }

  void position_gradient(int64_t local, const SharedRows<T>& rows, const uint8_t* alive, int worker) {
    T *attention = pass_.attention.row(local), *gradient = attention_gradient_.of(worker);
    const T reciprocal = pass_.attention.statistics(local).reciprocal;
    T* at = gradient;
    Wider<T> total = 0;
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      if (!alive[tile]) continue;
      const Box b = map_box(tile);
      sum_shared(rows, b, size_.wb + 1, at, [](Octet<T>) {});
      Octet<T> products{};
      for (int64_t y = b.y0; y < b.y1; ++y) {
        const T* row = attention + size_.row.at(y, b.x0);
        int64_t x = 0;
        for (; x + 8 <= b.width(); x += 8, at += 8) products += load_octet(row + x) * load_octet(at);
        for (; x < b.width(); ++x) products[0] += row[x] * *at++;
      }
      for (int lane = 0; lane < 8; ++lane) total += products[lane];
    }
    const T mean = static_cast<T>(total * reciprocal);
    const T scale = static_cast<T>(params_.in.options.softmax_scale) * reciprocal;
    at = gradient;
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      const Box b = map_box(tile);
      for (int64_t y = b.y0; y < b.y1; ++y) {
        T* row = attention + size_.row.at(y, b.x0);
        if (alive[tile])
          for (int64_t x = 0; x < b.width(); ++x) row[x] = scale * row[x] * (*at++ - mean);
        else
          fill(row, b.width(), T(0));
      }
    }
  }
  // The positions of the map among a tile's positions of the grid.
  Box map_box(int64_t tile) const {
    const Box b = tile_box(size_.background_tiles, tile);
    return {b.y0, smaller(b.y1, size_.hb), b.x0, smaller(b.x1, size_.wb)};
  }

  void write(int64_t n) {
    const Inputs& in = params_.in;
    const auto pasted = [&](int64_t c, int64_t row, int64_t width, T* line) {
      value_gradients_.unpack_row(c, row, width, line);
    };
    const auto nothing = [](int64_t, int64_t, int64_t width, T* line) { fill(line, width, T(0)); };
    if (params_.grad_f.data) maps_.write_f(n, params_.grad_f, in.dtype, pass_.loop, line_, nothing);
    if (params_.grad_b.data) {
      if (pastes_into_b_)
        maps_.write_b(n, params_.grad_b, in.dtype, pass_.loop, line_, pasted);
      else
        maps_.write_b(n, params_.grad_b, in.dtype, pass_.loop, line_, nothing);
    }
    if (params_.grad_values.data)
      parallel(pass_.loop, params_.grad_values.height, [&](int64_t row, int worker) {
        for (int64_t c = 0; c < size_.value_channels; ++c) {
          pasted(c, row, params_.grad_values.width, line_.of(worker));
          write_row(params_.grad_values, in.dtype, n, c, row, line_.of(worker));
        }
      });
  }

  const BackwardParams& params_;
  AttentionPass<T> pass_;
  const Geometry& size_;
  const bool pastes_into_b_, need_f_, need_b_, need_values_, need_scores_;
  const int64_t columns_, tiles_;
  Buffer<T> values_transposed_, edges_transposed_;
  PixelTiles<T> value_gradients_;
  const int64_t strip_tiles_;
  Buffer<T> pixel_gradients_, extended_gradients_;
  MapGradients<T> maps_;
  WorkerBuffer<T> block_, packed_, line_, product_, rows_, attention_gradient_, walk_memory_;
};

}  // namespace
}  // namespace gica::cpu
