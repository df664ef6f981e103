// For every group of foreground tiles, the background tiles that any of them attends to.
#pragma once

#include "common/blocks.h"
#include "sm90/arrangement.h"

namespace gica::cuda {

// list[group][...]: entries in the order of the background's tiles; count[group]: how many. One warp per group.
static __global__ void list_shared(const int* live, BlockGrid grid, Shape s, int* list, int* count) {
  live = of_sample(live, s), list = of_sample(list, s), count = of_sample(count, s);
  const int lane = threadIdx.x, group = blockIdx.x, across = grid.across();
  const int* rows[kSharingTiles];
#pragma unroll
  for (int i = 0; i < kSharingTiles; ++i) {
    const int index = group * kSharingTiles + i;
    const bool exists = index < grid.foreground.count();
    rows[i] = exists ? live + static_cast<size_t>(tile_in_order(grid.foreground, index)) * across : nullptr;
  }
  int found = 0;
  for (int first = 0; first < across; first += 32) {
    Entry entry = {first + lane, 0};
#pragma unroll
    for (int i = 0; i < kSharingTiles; ++i)
      if (rows[i] && entry.tile < across && rows[i][entry.tile]) entry.live |= 1 << i;
    const unsigned votes = __ballot_sync(~0u, entry.live != 0);
    const int place = found + __popc(votes & ((1u << lane) - 1));
    if (entry.live) list[static_cast<size_t>(group) * across + place] = entry.packed();
    found += __popc(votes);
  }
  if (lane == 0) count[group] = found;
}

}  // namespace gica::cuda
