// From the gradient of the output to the gradient of the propagated scores, and to that of the pixels pasted.
#pragma once

#include "common/paste.h"
#include "common/softmax.h"

namespace gica::cuda {

template <class E>
using BlockProduct = Product<E, 2, 2, 2, 4, Lines::along_depth, Lines::along_depth>;

// block_gradients[block][64][64] = <gradient of the output at a grid position, pixels of the background at another>.
template <class E>
__global__ __launch_bounds__(BlockProduct<E>::threads) void block_gradients(const typename E::Stored* gradients,
                                                                            const typename E::Stored* pixels,
                                                                            const int* live, BlockGrid grid, Shape s,
                                                                            typename E::Stored* out) {
  using G = BlockProduct<E>;
  GICA_DYNAMIC_SHARED(shared);
  if (!of_sample(live, s)[blockIdx.x]) return;
  const auto rows_of = [&](const typename E::Stored* tiles, int tile) {
    const auto* first = of_sample(tiles, s) + static_cast<size_t>(tile) * kTileSize * s.columns;
    return [first, columns = s.columns](int step, int line, int column) {
      return first + static_cast<size_t>(line) * columns + step * kDepth<E> + column;
    };
  };
  G product;
  product.multiply(shared, s.columns / kDepth<E>, rows_of(gradients, blockIdx.x / grid.across()),
                   rows_of(pixels, blockIdx.x % grid.across()));
  auto* block = of_sample(out, s) + static_cast<size_t>(blockIdx.x) * kBlockSize;
  product.each_pair([&](int row, int column, float x, float y) {
    auto* pair = block + row * kTileSize + column;
    pair[0] = E::store(x), pair[1] = E::store(y);
  });
}

template <class Stored>
struct BlockGradients {
  const Stored* blocks;
  const int* live;
  BlockGrid grid;

  __device__ __forceinline__ BlockGradients of_sample(const Shape& s) const {
    using gica::cuda::of_sample;
    return {of_sample(blocks, s), of_sample(live, s), grid};
  }
  // Entries of a block's row from a slot on, null where the block is dead; f and b are places in their tile tables.
  __device__ __forceinline__ const Stored* row(int f, int b) const {
    const size_t block = static_cast<size_t>(f / kTileSize) * grid.across() + b / kTileSize;
    return live[block] ? blocks + block * kBlockSize + f % kTileSize * kTileSize + b % kTileSize : nullptr;
  }
};

// Where the four entries of Abar that the attention of one foreground position goes into lie in the tile table.
struct ForegroundPlaces {
  int at[2][2];
  __device__ __forceinline__ ForegroundPlaces(const TileTable& tiles, int y, int x) {
#pragma unroll
    for (int a = 0; a < 2; ++a)
#pragma unroll
      for (int c = 0; c < 2; ++c) at[a][c] = tiles.find(y + a, x + c);
  }
};

// The gradients of the attention towards eight positions of a background row, each the sum of four entries. Returns
// whether any of the blocks they lie in is live; the others count as 0.
template <class Stored>
__device__ __forceinline__ bool attention_gradients(const BlockGradients<Stored>& weights, const ForegroundPlaces& f,
                                                    int u, int v, int count, float (&sums)[kChunk]) {
  const TileTable& tiles = weights.grid.background;
#pragma unroll
  for (int k = 0; k < kChunk; ++k) sums[k] = 0;
  bool any = false;
#pragma unroll
  for (int a = 0; a < 2; ++a) {
    // A chunk is a row of a whole tile, and one more entry behind it; or it lies among the left-over positions.
    const bool in_tile = u + a < tiles.down() * kTile && v / kTile < tiles.across();
    const int first = tiles.find(u + a, v), behind = tiles.find(u + a, v + count);
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const int place = f.at[a][c];
      if (in_tile && count == kChunk) {
        const Stored *entries = weights.row(place, first), *last = c == 1 ? weights.row(place, behind) : nullptr;
        any |= entries || last;
        if (entries)
#pragma unroll
          for (int k = 0; k + c < kChunk; ++k) sums[k] += to_float(entries[k + c]);
        if (last) sums[kChunk - 1] += to_float(*last);
      } else {
        for (int k = 0; k < count; ++k)
          if (const Stored* entry = weights.row(place, tiles.find(u + a, v + k + c)))
            any = true, sums[k] += to_float(*entry);
      }
    }
  }
  return any;
}

// scale * A * (dA - sum of A dA over the row), 0 where no block is live, at the positions of `scored`. It may take the
// place of the scores that A is made of.
template <class Stored>
__global__ void score_row_gradients(Attention attention, BlockGradients<Stored> weights, Rect scored, Shape s,
                                    float* gradient) {
  __shared__ float room[kRowThreads / 32];
  attention = attention.of_sample(s), weights = weights.of_sample(s);
  const int y = scored.y0 + blockIdx.x / scored.width(), x = scored.x0 + blockIdx.x % scored.width();
  const int p = y * s.wf + x, chunks = chunks_across(s);
  const float* row = attention.row(s, y, x);
  float* out = of_sample(gradient, s) + static_cast<size_t>(attention.positions.index(y, x)) * s.row_stride;
  const float max = attention.max[p], factor = Attention::factor(attention.sum[p]);
  const ForegroundPlaces places(weights.grid.foreground, y, x);
  // each(q, attention, its gradient) for every position in a live block; the others' gradient is set to 0.
  const auto each = [&](const auto& use) {
    for (int item = threadIdx.x; item < s.hb * chunks; item += kRowThreads) {
      const int u = item / chunks, v = item % chunks * kChunk, count = min(kChunk, s.wb - v), q = u * s.wb + v;
      float of_weight[kChunk];
      const bool live = factor != 0 && attention_gradients(weights, places, u, v, count, of_weight);
      for (int k = 0; k < count; ++k) {
        const float from = live && attention.in.valid[q + k] ? attention.weight(s, row[q + k], max, factor) : 0.f;
        use(q + k, from, from != 0 ? of_weight[k] : 0.f);
      }
    }
  };
  float sum = 0, total = 0;
  each([&](int, float from, float of_weight) { sum += from * of_weight, total += from; });
  const auto add = [](float a, float b) { return a + b; };
  sum = fold_block(sum, room, add);
  total = fold_block(total, room, add);
  // Scores computed again may differ from the forward's in the last digit, and a row's attention then misses 1 by that
  // times the score. Divided by its true sum the two terms below still cancel where they should.
  if (const int kept = attention.in.kept(s); kept > 0) total += kept * __expf(-max) * factor;
  const float correction = total == 0 ? 0.f : 1 / total;
  each([&](int q, float from, float of_weight) {
    out[q] = from != 0 ? s.softmax_scale * (from * correction) * (of_weight - sum * correction) : 0.f;
  });
}

// owned[tile * 64 + slot]: whether a position of the strip's grid is its own, and not one it shares with the next. The
// same for every sample.
static __global__ void find_owned(TileTable tiles, Rect own, uint8_t* owned) {
  GridPosition at;
  owned[blockIdx.x * kTileSize + threadIdx.x] =
      tiles.position(blockIdx.x, threadIdx.x, &at) && own.contains(at.i, at.j);
}

template <class E>
using PixelGradientProduct = Product<E, 2, 2, 2, 8, Lines::across_depth, Lines::across_depth>;

// pixel_gradients[background tile][64][columns] += Abar^T times the gradient of the output, over the strip's own rows.
// `live` lists the foreground tiles of every background tile.
template <class E>
__global__ __launch_bounds__(PixelGradientProduct<E>::threads) void add_pixel_gradients(
    const typename E::Stored* blocks, const typename E::Stored* gradients, const uint8_t* owned, LiveList live,
    BlockGrid grid, Shape s, float* pixel_gradients) {
  using G = PixelGradientProduct<E>;
  using Stored = typename E::Stored;
  constexpr int per_block = kTileSize / kDepth<E>;
  GICA_DYNAMIC_SHARED(shared);
  const int parts = s.columns / G::columns, tile = blockIdx.x / parts, column0 = blockIdx.x % parts * G::columns;
  const int count = of_sample(live.count, s)[tile];
  if (count == 0) return;
  blocks = of_sample(blocks, s), gradients = of_sample(gradients, s), pixel_gradients = of_sample(pixel_gradients, s);
  const int* list = of_sample(live.list, s) + static_cast<size_t>(tile) * live.length;
  const auto row_of_block = [&](int step, int line, int column) -> const Stored* {
    const int f_tile = list[step / per_block], slot = step % per_block * kDepth<E> + line;
    const size_t block = static_cast<size_t>(f_tile) * grid.across() + tile;
    return owned[f_tile * kTileSize + slot] ? blocks + block * kBlockSize + slot * kTileSize + column : nullptr;
  };
  const auto row_of_gradient = [&](int step, int line, int column) -> const Stored* {
    const size_t slot = static_cast<size_t>(list[step / per_block]) * kTileSize + step % per_block * kDepth<E> + line;
    return gradients + slot * s.columns + column0 + column;
  };
  G product;
  product.multiply(shared, count * per_block, row_of_block, row_of_gradient);
  product.each_pair([&](int row, int column, float x, float y) {
    float* out = pixel_gradients + (static_cast<size_t>(tile) * kTileSize + row) * s.columns + column0 + column;
    out[0] += x, out[1] += y;
  });
}

}  // namespace gica::cuda
