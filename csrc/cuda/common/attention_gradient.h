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
    return [first, columns = s.columns](int step, int line, int column) -> CopySource<typename E::Stored> {
      return {first + static_cast<size_t>(line) * columns + step * kDepth<E> + column};
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
};

// The gradients of the attention of one foreground position: each the sum of the four entries of Abar that it goes
// into.
template <class Stored>
class AttentionGradients {
 public:
  __device__ __forceinline__ AttentionGradients(const BlockGradients<Stored>& of, int y, int x)
      : tiles_(of.grid.background) {
#pragma unroll
    for (int a = 0; a < 2; ++a)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int place = of.grid.foreground.find(y + a, x + c);
        const size_t first = static_cast<size_t>(place / kTileSize) * of.grid.across();
        rows_[a][c] = of.blocks + first * kBlockSize + place % kTileSize * kTileSize;
        live_[a][c] = of.live + first;
      }
  }

  // A whole tile: where its entries begin, and which of them are live: bit 2 a + c of its own, bit 4 + a of those of
  // the next tile in its row, where that is a whole one.
  struct Tile {
    unsigned first = 0, live = 0;
    bool exists = false, has_next = false;
  };
  // That of position (u, v), the first of a chunk.
  __device__ __forceinline__ Tile enter(int u, int v, int count) const {
    Tile tile;
    tile.exists = count == kChunk && tiles_.is_whole(u, v);
    if (!tile.exists) return tile;
    const unsigned index = place(u, v).tile;
    tile.first = index * kBlockSize, tile.has_next = tiles_.is_whole(u, v + kChunk);
#pragma unroll
    for (int a = 0; a < 2; ++a) {
#pragma unroll
      for (int c = 0; c < 2; ++c) tile.live |= static_cast<unsigned>(live_[a][c][index] != 0) << (2 * a + c);
      if (tile.has_next) tile.live |= static_cast<unsigned>(live_[a][1][index + 1] != 0) << (4 + a);
    }
    return tile;
  }

  // Towards a chunk of a background row, of which `count` positions exist. Returns whether any entry lies in a live
  // block; the others count as 0. tile: what enter found at (u, v) or above it in the same tile.
  __device__ __forceinline__ bool load_chunk(const Tile& tile, int u, int v, int count, float (&sums)[kChunk]) const {
#pragma unroll
    for (int k = 0; k < kChunk; ++k) sums[k] = 0;
    bool any = false;
#pragma unroll
    for (int a = 0; a < 2; ++a) {
      const bool in_tile = a == 0 || (tile.exists && u % kTile + 1 < kTile);
      const Tile here = in_tile ? tile : enter(u + a, v, count);
      any |= here.exists ? add_eight(a, here, u, v, sums) : add_each(a, u, v, count, sums);
    }
    return any;
  }

 private:
  // Where the entries towards a position of the background lie.
  struct Place {
    unsigned tile, entry;
  };
  __device__ __forceinline__ Place place(int u, int v) const {
    const unsigned at = tiles_.find(u, v), tile = at / kTileSize;
    return {tile, tile * kBlockSize + at % kTileSize};
  }

  // A row of a whole tile, and one more entry behind it.
  __device__ __forceinline__ bool add_eight(int a, const Tile& tile, int u, int v, float (&sums)[kChunk]) const {
    const unsigned entry = tile.first + (u + a) % kTile * kTile;
    bool any = false;
#pragma unroll
    for (int c = 0; c < 2; ++c)
      if (tile.live >> (2 * a + c) & 1) {
        float eight[kChunk];
        load_eight(rows_[a][c] + entry, eight);
#pragma unroll
        for (int k = 0; k + c < kChunk; ++k) sums[k] += eight[k + c];
        any = true;
      }
    if (tile.has_next) {
      if (tile.live >> (4 + a) & 1) sums[kChunk - 1] += to_float(rows_[a][1][entry + kBlockSize]), any = true;
    } else if (const Place behind = place(u + a, v + kChunk); live_[a][1][behind.tile]) {
      sums[kChunk - 1] += to_float(rows_[a][1][behind.entry]), any = true;
    }
    return any;
  }

  // At the background's edges.
  __device__ __forceinline__ bool add_each(int a, int u, int v, int count, float (&sums)[kChunk]) const {
    bool any = false;
#pragma unroll 1
    for (int k = 0; k < count; ++k) {
      float total = 0;
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const Place at = place(u + a, v + k + c);
        if (live_[a][c][at.tile]) total += to_float(rows_[a][c][at.entry]), any = true;
      }
#pragma unroll
      for (int j = 0; j < kChunk; ++j)
        if (j == k) sums[j] += total;
    }
    return any;
  }

  const TileTable& tiles_;
  const Stored* rows_[2][2];
  const int* live_[2][2];
};

// Of a background row, at position q of which `to` is.
__device__ __forceinline__ void store_chunk(const float (&values)[kChunk], int count, const Shape& s, float* to) {
  if (s.wb % kChunk == 0) {
    *reinterpret_cast<float4*>(to) = make_float4(values[0], values[1], values[2], values[3]);
    *reinterpret_cast<float4*>(to + 4) = make_float4(values[4], values[5], values[6], values[7]);
  } else {
#pragma unroll
    for (int k = 0; k < kChunk; ++k)
      if (k < count) to[k] = values[k];
  }
}

// scale * A * (dA - sum of A dA over the row), 0 where no block is live, at the positions of `scored`. It may take the
// place of the scores that A is made of.
template <class Stored>
__global__ void score_row_gradients(Attention attention, BlockGradients<Stored> weights, Rect scored, Shape s,
                                    float* gradient) {
  __shared__ float room[kRowThreads / 32];
  attention = attention.of_sample(s), weights = weights.of_sample(s);
  const int y = scored.y0 + blockIdx.x / scored.width(), x = scored.x0 + blockIdx.x % scored.width();
  const int p = y * s.wf + x;
  const float* row = attention.row(s, y, x);
  float* out = of_sample(gradient, s) + static_cast<size_t>(attention.positions.index(y, x)) * s.row_stride;
  const float max = attention.max[p], factor = Attention::factor(attention.sum[p]);
  const AttentionGradients<Stored> gradients(weights, y, x);
  // A thread takes some chunks below each other, inside of a tile: as many as leave work for every thread.
  const int chunks = chunks_across(s);
  int together = kTile;
  while (together > 1 && s.hb * chunks < kRowThreads * together) together /= 2;
  // use(q, count, attention, its gradient) for every chunk; in dead blocks both are 0.
  const auto each = [&](const auto& use) {
    for (int item = threadIdx.x; item / chunks * together < s.hb; item += kRowThreads) {
      const int u0 = item / chunks * together, v = item % chunks * kChunk, count = min(kChunk, s.wb - v);
      const auto tile = gradients.enter(u0, v, count);
      for (int u = u0; u < min(u0 + together, s.hb); ++u) {
        const int q = u * s.wb + v;
        float from[kChunk] = {}, of_weight[kChunk];
        if (factor != 0 && gradients.load_chunk(tile, u, v, count, of_weight))
          attention.load_chunk(s, {row, max, factor}, q, count, from);
        use(q, count, from, of_weight);
      }
    }
  };
  float sum = 0, total = 0;
  each([&](int, int, const float (&from)[kChunk], const float (&of_weight)[kChunk]) {
#pragma unroll
    for (int k = 0; k < kChunk; ++k)
      if (from[k] != 0) sum += from[k] * of_weight[k], total += from[k];
  });
  const auto add = [](float a, float b) { return a + b; };
  sum = fold_block(sum, room, add);
  total = fold_block(total, room, add);
  // Scores computed again may differ from the forward's in the last digit, and a row's attention then misses 1 by that
  // times the score. Divided by its true sum the two terms below still cancel where they should.
  if (const int kept = attention.in.kept(s); kept > 0) total += kept * exponential(-max) * factor;
  const float correction = total == 0 ? 0.f : 1 / total;
  const float scale = s.softmax_scale * correction, mean = sum * correction;
  each([&](int q, int count, const float (&from)[kChunk], const float (&of_weight)[kChunk]) {
    float of_score[kChunk];
#pragma unroll
    for (int k = 0; k < kChunk; ++k) of_score[k] = from[k] != 0 ? scale * from[k] * (of_weight[k] - mean) : 0.f;
    store_chunk(of_score, count, s, out + q);
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
  const auto row_of_block = [&](int step, int line, int column) -> CopySource<Stored> {
    const int f_tile = list[step / per_block], slot = step % per_block * kDepth<E> + line;
    const size_t block = static_cast<size_t>(f_tile) * grid.across() + tile;
    return {blocks + block * kBlockSize + slot * kTileSize + column, owned[f_tile * kTileSize + slot] != 0};
  };
  const auto row_of_gradient = [&](int step, int line, int column) -> CopySource<Stored> {
    const size_t slot = static_cast<size_t>(list[step / per_block]) * kTileSize + step % per_block * kDepth<E> + line;
    return {gradients + slot * s.columns + column0 + column};
  };
  G product;
  product.multiply(shared, count * per_block, row_of_block, row_of_gradient);
  product.each_pair([&](int row, int column, float x, float y) {
    float* out = pixel_gradients + (static_cast<size_t>(tile) * kTileSize + row) * s.columns + column0 + column;
    out[0] += x, out[1] += y;
  });
}

}  // namespace gica::cuda
