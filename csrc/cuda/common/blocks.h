// Blocks of Abar, a tile of the foreground's grid by one of the background's: gathered from rows of attention, and left
// out where they cannot change the result.
#pragma once

#include "common/softmax.h"

namespace gica::cuda {

constexpr int kBlockSize = kTileSize * kTileSize;
constexpr int kGatherThreads = 256;

struct BlockGrid {
  TileTable foreground, background;
  GICA_HOST_DEVICE int across() const { return background.count(); }
  GICA_HOST_DEVICE int count() const { return foreground.count() * background.count(); }
};

// Positions of the 64 slots of a tile, in shared memory; i is -1 in empty slots.
__device__ __forceinline__ void list_positions(const TileTable& tiles, int tile, GridPosition* slots) {
  if (threadIdx.x < kTileSize && !tiles.position(tile, threadIdx.x, &slots[threadIdx.x])) slots[threadIdx.x] = {-1, -1};
}

// Abar[i, j] = the attention of the four patches over i towards those over j, in step.
template <class A>
__device__ __forceinline__ float bar(const A& attention, const Shape& s, GridPosition f, GridPosition b) {
  float total = 0;
#pragma unroll
  for (int a = 0; a < 2; ++a)
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const int y = f.i - a, x = f.j - c, u = b.i - a, v = b.j - c;
      if (attention.positions.contains(y, x) && u >= 0 && u < s.hb && v >= 0 && v < s.wb)
        total += attention.at(s, y, x, u, v);
    }
  return total;
}

// Two whole tiles: the attention between their positions, and those in front of them, once into shared memory, from
// where every entry of the block takes its four.
class WholeTiles {
 public:
  static constexpr int side = kTile + 1, positions = side * side, stride = positions + 1;

  // Every thread of the block takes part. f and b are the tiles' first positions.
  template <class A>
  static __device__ __forceinline__ void load(const A& attention, const Shape& s, GridPosition f, GridPosition b,
                                              float* weights) {
    for (int line = threadIdx.x / 32; line < positions; line += kGatherThreads / 32) {
      const auto row = attention.row_at(s, f.i - 1 + line / side, f.j - 1 + line % side);
      for (int column = threadIdx.x % 32; column < positions; column += 32) {
        const int u = b.i - 1 + column / side, v = b.j - 1 + column % side;
        const bool there = row.exists() && u >= 0 && u < s.hb && v >= 0 && v < s.wb;
        weights[line * stride + column] = there ? attention.weight(s, row, u, v) : 0.f;
      }
    }
  }
  static __device__ __forceinline__ float bar(const float* weights, int f_slot, int b_slot) {
    const float* at =
        weights + (f_slot / kTile * side + f_slot % kTile) * stride + b_slot / kTile * side + b_slot % kTile;
    return (at[0] + at[stride + 1]) + (at[side * (stride + 1)] + at[(side + 1) * (stride + 1)]);
  }
};

// Entries of the block that a thread forms: 16 rows of one column.
constexpr int kGatherRows = kBlockSize / kGatherThreads;
__device__ __forceinline__ int gather_column() {
  return threadIdx.x % kTileSize;
}
__device__ __forceinline__ int gather_row() {
  return threadIdx.x / kTileSize * kGatherRows;
}

// f and b are the positions of the tiles' slots.
template <class A>
__device__ __forceinline__ void form_block(const A& attention, const Shape& s, const BlockGrid& grid, int f_tile,
                                           int b_tile, const GridPosition* f, const GridPosition* b,
                                           float (&values)[kGatherRows]) {
  __shared__ float weights[WholeTiles::positions * WholeTiles::stride];
  const int column = gather_column(), first = gather_row();
  if (f_tile < grid.foreground.whole() && b_tile < grid.background.whole()) {
    WholeTiles::load(attention, s, f[0], b[0], weights);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kGatherRows; ++r) values[r] = WholeTiles::bar(weights, first + r, column);
    return;
  }
#pragma unroll
  for (int r = 0; r < kGatherRows; ++r) {
    const bool exists = f[first + r].i >= 0 && b[column].i >= 0;
    values[r] = exists ? bar(attention, s, f[first + r], b[column]) : 0.f;
  }
}

template <class E>
__device__ __forceinline__ void store_block(const float (&values)[kGatherRows], typename E::Stored* blocks) {
  typename E::Stored* out = blocks + static_cast<size_t>(blockIdx.x) * kBlockSize;
#pragma unroll
  for (int r = 0; r < kGatherRows; ++r) out[(gather_row() + r) * kTileSize + gather_column()] = E::store(values[r]);
}

// Could anything of the block be above the threshold? One position in front of each of the 64 per thread. NaN could.
__device__ __forceinline__ bool may_live(const float* bounds, const Rect& positions, const Shape& s,
                                         const BlockGrid& grid, int b_tile, const GridPosition* f) {
  static_assert(kGatherThreads == 4 * kTileSize, "four positions for each of the tile");
  const GridPosition at = f[threadIdx.x / 4];
  const int y = at.i - threadIdx.x / 2 % 2, x = at.j - threadIdx.x % 2;
  const bool exists = at.i >= 0 && positions.contains(y, x);
  return any_thread(exists &&
                    !(4 * bounds[static_cast<size_t>(positions.index(y, x)) * grid.across() + b_tile] <= s.threshold));
}

// blocks[foreground tile][background tile][64][64], written where the block is live. `map` is the map of live plain
// tiles of the launch's first sample. A: Attention, or what stands for it (pieces.h).
template <class E, class A>
__global__ __launch_bounds__(kGatherThreads) void gather_blocks(A attention, const float* bounds, BlockGrid grid,
                                                                Shape s, typename E::Stored* blocks, int* live,
                                                                uint8_t* map) {
  __shared__ GridPosition f[kTileSize], b[kTileSize];
  const int f_tile = blockIdx.x / grid.across(), b_tile = blockIdx.x % grid.across();
  attention = attention.of_sample(s), bounds = of_sample(bounds, s);
  list_positions(grid.foreground, f_tile, f);
  list_positions(grid.background, b_tile, b);
  __syncthreads();
  bool any = false;
  if (may_live(bounds, attention.positions, s, grid, b_tile, f)) {
    float values[kGatherRows];
    form_block(attention, s, grid, f_tile, b_tile, f, b, values);
    const Rect grid_f = s.foreground_grid(), grid_b = s.background_grid();
    const GridPosition to = b[gather_column()];
    map += blockIdx.z * map_size(s);
#pragma unroll
    for (int r = 0; r < kGatherRows; ++r) {
      const GridPosition from = f[gather_row() + r];
      if (from.i < 0 || to.i < 0 || values[r] <= s.threshold) continue;  // NaN is live
      any = true;
      map[static_cast<size_t>(plain_tile(grid_f, from.i, from.j)) * plain_tiles(grid_b) +
          plain_tile(grid_b, to.i, to.j)] = 1;
    }
    any = any_thread(any);
    if (any) store_block<E>(values, of_sample(blocks, s));
  }
  if (threadIdx.x == 0) of_sample(live, s)[blockIdx.x] = any;
}

// The same where the map is known, without a test of the values. `map` too is that of the launch's first sample.
template <class E>
__global__ __launch_bounds__(kGatherThreads) void gather_live_blocks(Attention attention, BlockGrid grid, Shape s,
                                                                     const uint8_t* map, typename E::Stored* blocks,
                                                                     int* live) {
  __shared__ GridPosition f[kTileSize], b[kTileSize];
  const int f_tile = blockIdx.x / grid.across(), b_tile = blockIdx.x % grid.across();
  list_positions(grid.foreground, f_tile, f);
  list_positions(grid.background, b_tile, b);
  __syncthreads();
  const Rect grid_f = s.foreground_grid(), grid_b = s.background_grid();
  map += blockIdx.z * map_size(s);
  const GridPosition to = b[gather_column()];
  bool any = false;
  for (int r = 0; r < kGatherRows && to.i >= 0; ++r) {
    const GridPosition from = f[gather_row() + r];
    any |= from.i >= 0 && map[static_cast<size_t>(plain_tile(grid_f, from.i, from.j)) * plain_tiles(grid_b) +
                              plain_tile(grid_b, to.i, to.j)] != 0;
  }
  any = any_thread(any);
  if (threadIdx.x == 0) of_sample(live, s)[blockIdx.x] = any;
  if (!any) return;
  float values[kGatherRows];
  form_block(attention.of_sample(s), s, grid, f_tile, b_tile, f, b, values);
  store_block<E>(values, of_sample(blocks, s));
}

// list[line][...]: the live blocks of a line in order, one warp per line; count[line]: how many. Blocks of a line are
// `step` apart, lines `line_step`.
static __global__ void list_live(const int* live, int length, int step, int line_step, Shape s, int* list, int* count) {
  live = of_sample(live, s), list = of_sample(list, s), count = of_sample(count, s);
  const int lane = threadIdx.x % 32;
  int found = 0;
  for (int first = 0; first < length; first += 32) {
    const int i = first + lane;
    const bool here = i < length && live[static_cast<size_t>(blockIdx.x) * line_step + static_cast<size_t>(i) * step];
    const unsigned votes = __ballot_sync(~0u, here);
    if (here) list[static_cast<size_t>(blockIdx.x) * length + found + __popc(votes & ((1u << lane) - 1))] = i;
    found += __popc(votes);
  }
  if (lane == 0) count[blockIdx.x] = found;
}

}  // namespace gica::cuda
