// The paste: live blocks of Abar times the pixels of the background, written straight into the output.
#pragma once

#include "common/blocks.h"
#include "common/prepare.h"
#include "common/product.h"

namespace gica::cuda {

template <class E>
using PasteProduct = Product<E, 2, 2, 2, 8, Lines::along_depth, Lines::across_depth>;

struct LiveList {
  const int* list;  // [line][length]
  const int* count;
  int length;
};

// One block per tile of the foreground's grid and 128 columns. n: the number of the launch's first sample.
template <class T, class E>
__global__ __launch_bounds__(PasteProduct<E>::threads) void paste(const typename E::Stored* blocks,
                                                                  const typename E::Stored* pixels, LiveList live,
                                                                  BlockGrid grid, Shape s, Mask query, int n, Image y) {
  using G = PasteProduct<E>;
  using Stored = typename E::Stored;
  constexpr int per_block = kTileSize / kDepth<E>;  // steps of depth in one block
  GICA_DYNAMIC_SHARED(shared);
  __shared__ GridPosition at[kTileSize];
  const int tile = blockIdx.y, column0 = blockIdx.x * G::columns;
  n = number_of_sample(n), blocks = of_sample(blocks, s), pixels = of_sample(pixels, s);
  const int* list = of_sample(live.list, s) + static_cast<size_t>(tile) * live.length;
  list_positions(grid.foreground, tile, at);
  const auto row_of_block = [&](int step, int line, int column) -> CopySource<Stored> {
    const size_t block = static_cast<size_t>(tile) * grid.across() + list[step / per_block];
    return {blocks + block * kBlockSize + line * kTileSize + step % per_block * kDepth<E> + column};
  };
  const auto row_of_pixels = [&](int step, int line, int column) -> CopySource<Stored> {
    const int slot = step % per_block * kDepth<E> + line;
    return {pixels + (static_cast<size_t>(list[step / per_block]) * kTileSize + slot) * s.columns + column0 + column};
  };
  G product;
  product.multiply(shared, of_sample(live.count, s)[tile] * per_block, row_of_block, row_of_pixels);
  __syncthreads();
  const int query_scale = s.phases / s.rate;
  product.each_pair([&](int row, int column, float first, float second) {
    const GridPosition to = at[row];
    if (to.i < 0) return;
    const float share = s.share(to.i, to.j);
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const int phase = (column0 + column + k) / s.value_depth, c = (column0 + column + k) % s.value_depth;
      if (phase >= s.phases * s.phases || c >= s.value_channels) continue;
      const int py = s.phases * to.i - s.before + phase / s.phases, px = s.phases * to.j - s.before + phase % s.phases;
      if (py < 0 || py >= y.height || px < 0 || px >= y.width) continue;
      const bool shown = !query.data || masked(query, n, py / query_scale, px / query_scale);
      set_pixel<T>(y, n, c, py, px, shown ? (k == 0 ? first : second) * share : 0.f);
    }
  });
}

}  // namespace gica::cuda
