// From a warpgroup's sums to the output, or to memory where several items share a tile, and from there on.
#pragma once

#include "common/blocks.h"
#include "common/prepare.h"
#include "sm90/pipeline.h"

namespace gica::cuda {

struct PasteOutput {
  TileTable tiles;
  Shape s;
  Mask query;
  int n;  // of the launch's first sample
  Image y;
  bool wide;  // eight channels lie side by side, where one store reaches them
};

// Eight channels of one pixel, of which `count` exist.
template <class T>
__device__ __forceinline__ void write_channels(const PasteOutput& out, int c, int py, int px,
                                               const float (&values)[8]) {
  const int count = out.s.value_channels - c;
  if (out.wide && count >= 8) {
    alignas(16) T converted[8];
#pragma unroll
    for (int k = 0; k < 8; ++k) converted[k] = FromFloat<T>::convert(values[k]);
    const Image& y = out.y;
    store_16_bytes(
        static_cast<T*>(y.data) + number_of_sample(out.n) * y.stride[0] + py * y.stride[2] + px * y.stride[3] + c,
        converted);
    return;
  }
#pragma unroll
  for (int k = 0; k < 8; ++k)
    if (k < count) set_pixel<T>(out.y, number_of_sample(out.n), c + k, py, px, values[k]);
}

// By the 128 threads that hold a tile's sums of one part of the columns.
template <class T>
__device__ __forceinline__ void write_tile(const PasteOutput& out, int tile, int part, const float (&sums)[kTileSums]) {
  const Shape& s = out.s;
  const int lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane / 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    GridPosition to;
    if (!out.tiles.position(tile, row + 8 * half, &to)) continue;
    const float share = s.share(to.i, to.j);
#pragma unroll
    for (int group = 0; group < kSlabColumns / 32; ++group) {
      const int column = part * kSlabColumns + group * 32 + lane % 4 * 8;
      const int phase = column / s.value_depth, c = column % s.value_depth;
      if (phase >= s.phases * s.phases) continue;
      const int py = s.phases * to.i - s.before + phase / s.phases, px = s.phases * to.j - s.before + phase % s.phases;
      if (py < 0 || py >= out.y.height || px < 0 || px >= out.y.width) continue;
      const int scale = s.phases / s.rate;
      const bool shown = !out.query.data || masked(out.query, number_of_sample(out.n), py / scale, px / scale);
      float values[8];
#pragma unroll
      for (int k = 0; k < 8; ++k) values[k] = shown ? sums[group * 16 + k / 2 * 4 + half * 2 + k % 2] * share : 0.f;
      write_channels<T>(out, c, py, px, values);
    }
  }
}

// Where the sums of a tile of a group lie: in fours, those of the 128 threads side by side.
__device__ __forceinline__ float4* sums_stored(float* partial, int item, int tile_of_group) {
  float* first = partial + static_cast<size_t>(item) * kItemSums + tile_of_group * (kTileSize * kSlabColumns);
  return reinterpret_cast<float4*>(first) + threadIdx.x % 128;
}

__device__ __forceinline__ void store_sums(float4* to, const float (&sums)[kTileSums]) {
#pragma unroll
  for (int i = 0; i < kTileSums / 4; ++i)
    to[i * 128] = make_float4(sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]);
}

__device__ __forceinline__ void add_sums(const float4* from, float (&sums)[kTileSums]) {
#pragma unroll
  for (int i = 0; i < kTileSums / 4; ++i) {
    const float4 more = from[i * 128];
    sums[4 * i] += more.x, sums[4 * i + 1] += more.y, sums[4 * i + 2] += more.z, sums[4 * i + 3] += more.w;
  }
}

// Adds up, always in the same order, what the items that share a tile have summed. One block per tile and part.
template <class T>
__global__ __launch_bounds__(128) void finish_tiles(float* partial, PasteItems items, PasteOutput out) {
  const int index = blockIdx.x, part = blockIdx.y, group = index / kSharingTiles;
  float sums[kTileSums] = {};
  partial = of_sample(partial, out.s);
  for (int split = 0; split < items.splits; ++split)
    add_sums(sums_stored(partial, items.index(group, part, split), index % kSharingTiles), sums);
  write_tile<T>(out, tile_in_order(out.tiles, index), part, sums);
}

}  // namespace gica::cuda
