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
  GICA_HOST_DEVICE bool is_whole(int f_tile, int b_tile) const {
    return f_tile < foreground.whole() && b_tile < background.whole();
  }
};

// Where the map of live plain tiles has that of two grid positions. Whole tiles are plain ones, left-over positions of
// several.
__device__ __forceinline__ size_t place_in_map(const Shape& s, GridPosition f, GridPosition b) {
  const Rect grid_f = s.foreground_grid(), grid_b = s.background_grid();
  return static_cast<size_t>(plain_tile(grid_f, f.i, f.j)) * plain_tiles(grid_b) + plain_tile(grid_b, b.i, b.j);
}

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
template <class A>
class WholeTiles {
 public:
  // Every thread of the block takes part. f and b are the tiles' first positions.
  __device__ __forceinline__ void load(const A& attention, const Shape& s, GridPosition f, GridPosition b) {
    static_assert(kPositions <= kGatherThreads, "a row each");
    if (threadIdx.x < kPositions)
      rows_[threadIdx.x] = attention.row_at(s, f.i - 1 + int(threadIdx.x) / kSide, f.j - 1 + int(threadIdx.x) % kSide);
    __syncthreads();
    // Nine numbers each, one after the other: an odd step, so no two threads of a warp meet in a bank.
    for (int i = threadIdx.x; i < kPositions * kSide; i += kGatherThreads) {
      const auto& row = rows_[i / kSide];
      const int u = b.i - 1 + i % kSide;
      float weights[kSide] = {};
      if (row.exists() && u >= 0 && u < s.hb) attention.load_nine(s, row, u, b.j, weights);
#pragma unroll
      for (int k = 0; k < kSide; ++k) weights_[i * kSide + k] = weights[k];
    }
    __syncthreads();
  }
  // Of one column of the block, some rows; the first is the first of a row of the tile.
  template <int rows>
  __device__ __forceinline__ void add_up(int first_row, int column, float (&bars)[rows]) const {
    const float* const first = weights_ + place(first_row) * kPositions + place(column);
    constexpr int across = kPositions + 1, down = kSide * across;
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      const float* at = first + place(r) * kPositions;
      bars[r] = (at[0] + at[across]) + (at[down] + at[down + across]);
    }
  }

 private:
  static constexpr int kSide = kTile + 1, kPositions = kSide * kSide;
  static __device__ __forceinline__ int place(int slot) { return slot / kTile * kSide + slot % kTile; }

  float weights_[kPositions * kPositions];  // [foreground position][background position]
  typename A::Row rows_[kPositions];
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
  __shared__ WholeTiles<A> tiles;
  const int column = gather_column(), first = gather_row();
  if (grid.is_whole(f_tile, b_tile)) {
    static_assert(kGatherRows % kTile == 0);
    tiles.load(attention, s, f[0], b[0]);
    tiles.add_up(first, column, values);
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
__global__ __launch_bounds__(kGatherThreads, 4) void gather_blocks(A attention, const float* bounds, BlockGrid grid,
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
    const bool whole = grid.is_whole(f_tile, b_tile);
    const GridPosition to = b[gather_column()];
    map += blockIdx.z * map_size(s);
#pragma unroll
    for (int r = 0; r < kGatherRows; ++r) {
      if (values[r] <= s.threshold) continue;  // NaN is live
      if (whole) {
        any = true;
      } else if (const GridPosition from = f[gather_row() + r]; from.i >= 0 && to.i >= 0) {
        any = true;
        map[place_in_map(s, from, to)] = 1;
      }
    }
    any = any_thread(any);
    if (any) store_block<E>(values, of_sample(blocks, s));
    if (any && whole && threadIdx.x == 0) map[place_in_map(s, f[0], b[0])] = 1;
  }
  if (threadIdx.x == 0) of_sample(live, s)[blockIdx.x] = any;
}

// The same where the map is known, without a test of the values. `map` too is that of the launch's first sample.
template <class E>
__global__ __launch_bounds__(kGatherThreads, 4) void gather_live_blocks(Attention attention, BlockGrid grid, Shape s,
                                                                        const uint8_t* map, typename E::Stored* blocks,
                                                                        int* live) {
  __shared__ GridPosition f[kTileSize], b[kTileSize];
  const int f_tile = blockIdx.x / grid.across(), b_tile = blockIdx.x % grid.across();
  list_positions(grid.foreground, f_tile, f);
  list_positions(grid.background, b_tile, b);
  __syncthreads();
  map += blockIdx.z * map_size(s);
  bool any = false;
  if (grid.is_whole(f_tile, b_tile)) {
    any = map[place_in_map(s, f[0], b[0])] != 0;
  } else {
    const GridPosition to = b[gather_column()];
    for (int r = 0; r < kGatherRows && to.i >= 0; ++r) {
      const GridPosition from = f[gather_row() + r];
      any |= from.i >= 0 && map[place_in_map(s, from, to)] != 0;
    }
    any = any_thread(any);
  }
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
