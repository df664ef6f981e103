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
                                                                            float* out) {
  using G = BlockProduct<E>;
  GICA_DYNAMIC_SHARED(shared);
  if (!live[blockIdx.x]) return;
  const auto rows_of = [&](const typename E::Stored* tiles, int tile) {
    const auto* first = tiles + static_cast<size_t>(tile) * kTileSize * s.columns;
    return [first, columns = s.columns](int step, int line, int column) {
      return first + static_cast<size_t>(line) * columns + step * kDepth<E> + column;
    };
  };
  G product;
  product.multiply(shared, s.columns / kDepth<E>, rows_of(gradients, blockIdx.x / grid.across()),
                   rows_of(pixels, blockIdx.x % grid.across()));
  float* block = out + static_cast<size_t>(blockIdx.x) * kBlockSize;
  product.each_pair([&](int row, int column, float x, float y) {
    *reinterpret_cast<float2*>(block + row * kTileSize + column) = make_float2(x, y);
  });
}

struct BlockGradients {
  const float* blocks;
  const int* live;
  BlockGrid grid;

  // The gradient of one weight of attention: those of the four entries of Abar it went into.
  __device__ __forceinline__ float at(int y, int x, int u, int v) const {
    float total = 0;
#pragma unroll
    for (int a = 0; a < 2; ++a)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int f = grid.foreground.find(y + a, x + c), b = grid.background.find(u + a, v + c);
        const size_t block = static_cast<size_t>(f / kTileSize) * grid.across() + b / kTileSize;
        if (live[block]) total += blocks[block * kBlockSize + f % kTileSize * kTileSize + b % kTileSize];
      }
    return total;
  }
};

// gradient[row of scored][q] = scale * A * (dA - sum of A dA over the row).
static __global__ void score_row_gradients(Attention attention, BlockGradients weights, Rect scored, Shape s,
                                           float* gradient) {
  __shared__ float room[kRowThreads / 32];
  const int y = scored.y0 + blockIdx.x / scored.width(), x = scored.x0 + blockIdx.x % scored.width();
  const int p = y * s.wf + x;
  const float* row = attention.row(s, y, x);
  float* out = gradient + static_cast<size_t>(blockIdx.x) * s.row_stride;
  const float max = attention.max[p], factor = Attention::factor(attention.sum[p]);
  const auto weight = [&](int q) {
    return factor != 0 && attention.in.valid[q] ? attention.weight(s, row[q], max, factor) : 0.f;
  };
  float sum = 0, total = 0;
  for (int q = threadIdx.x; q < s.Q; q += kRowThreads) {
    const float from = weight(q), of_weight = from != 0 ? weights.at(y, x, q / s.wb, q % s.wb) : 0.f;
    sum += from * of_weight, total += from;
    out[q] = of_weight;
  }
  const auto add = [](float a, float b) { return a + b; };
  sum = fold_block(sum, room, add);
  total = fold_block(total, room, add);
  // Scores computed again may differ from the forward's in the last digit, and a row's attention then misses 1 by that
  // times the score. Divided by its true sum the two terms below still cancel where they should.
  if (const int kept = attention.in.kept(s); kept > 0) total += kept * __expf(-max) * factor;
  const float correction = total == 0 ? 0.f : 1 / total;
  for (int q = threadIdx.x; q < s.row_stride; q += kRowThreads) {
    const float from = q < s.Q ? weight(q) * correction : 0.f;
    out[q] = from != 0 ? s.softmax_scale * from * (out[q] - sum * correction) : 0.f;
  }
}

// owned[tile * 64 + slot]: whether a position of the strip's grid is its own, and not one it shares with the next.
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
  const int tile = blockIdx.y, column0 = blockIdx.x * G::columns, count = live.count[tile];
  if (count == 0) return;
  const int* list = live.list + static_cast<size_t>(tile) * live.length;
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
