// Shared memory of the paste: stages that one thread fills and warpgroups multiply, in turn.
#pragma once

#include "common/blocks.h"
#include "common/ptx_sm90.h"
#include "sm90/arrangement.h"

namespace gica::cuda {

constexpr int kPasteThreads = 128 * (1 + kConsumers);  // a warpgroup that loads, and those that multiply

// A stage holds one slab and, for each warpgroup whose tile attends to it, one block of Abar. It is full when all bytes
// are there, and empty again when every warp of the cluster that reads from it has said so: the slab is brought in by
// the blocks of the cluster together.
template <class Stored>
struct Stages {
  static constexpr int count = 4;  // a power of two: the number of an entry tells its stage and its parity
  static constexpr int slab_size = kSlabColumns * kTileSize, part = slab_size / kCluster;
  static constexpr int bytes = count * ((slab_size + kConsumers * kBlockSize) * 2 + 2 * 8 + 4);

  Stored *slabs, *blocks;
  uint64_t *full, *empty;
  int* live;  // a bit per warpgroup

  explicit __device__ __forceinline__ Stages(unsigned char* shared)
      : slabs(reinterpret_cast<Stored*>(shared)),
        blocks(slabs + count * slab_size),
        full(reinterpret_cast<uint64_t*>(blocks + count * kConsumers * kBlockSize)),
        empty(full + count),
        live(reinterpret_cast<int*>(empty + count)) {}

  __device__ __forceinline__ Stored* slab(int entry) const { return slabs + entry % count * slab_size; }
  __device__ __forceinline__ Stored* block(int entry, int consumer) const {
    return blocks + (entry % count * kConsumers + consumer) * kBlockSize;
  }

  // By every thread of the block.
  __device__ __forceinline__ void initialise() const {
    if (threadIdx.x == 0) {
      for (int i = 0; i < count; ++i) {
        mbarrier_init(full + i, 1);
        mbarrier_init(empty + i, 4 * kConsumers * kCluster);
      }
      mbarrier_init_fence();
    }
    everyone();
  }

  // All threads of all blocks of the cluster.
  static __device__ __forceinline__ void everyone() {
    if constexpr (kCluster > 1)
      cluster_sync();
    else
      __syncthreads();
  }

  __device__ __forceinline__ void wait_until_empty(int entry) const {
    mbarrier_wait(empty + entry % count, entry / count % 2 ^ 1);
  }
  __device__ __forceinline__ void wait_until_full(int entry) const {
    mbarrier_wait(full + entry % count, entry / count % 2);
  }

  // By one whole warp: it is done with this entry's stage.
  __device__ __forceinline__ void release(int entry) const {
    const int lane = threadIdx.x % 32;
    if constexpr (kCluster > 1) {
      if (lane < kCluster) mbarrier_arrive_at(empty + entry % count, lane);
    } else {
      if (lane == 0) mbarrier_arrive(empty + entry % count);
    }
  }
};

__device__ __forceinline__ int rank_in_cluster() {
  if constexpr (kCluster > 1) return cluster_rank();
  return 0;
}

}  // namespace gica::cuda
