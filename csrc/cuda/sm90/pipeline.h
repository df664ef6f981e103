// The two roles of the paste: one thread loads, warpgroups multiply.
#pragma once

#include "sm90/products.h"
#include "sm90/stages.h"

namespace gica::cuda {

// Loads what the entries of the list name.
struct Loader {
  const TensorMap &blocks, &slabs;
  int columns, first_slab_row;
  int first_row[kConsumers];  // of the blocks of each warpgroup's tile

  template <class Stored>
  __device__ __forceinline__ void run(const Stages<Stored>& stages, const int* list, int entries) const {
    tma_prefetch(&blocks);
    tma_prefetch(&slabs);
    int next = entries > 0 ? list[0] : 0;
    for (int i = 0; i < entries; ++i) {
      const Entry entry = Entry::of(next);
      if (i + 1 < entries) next = list[i + 1];  // on its way while the stage is waited for
      stages.wait_until_empty(i);
      load(stages, i, entry);
    }
  }

 private:
  template <class Stored>
  __device__ __forceinline__ void load(const Stages<Stored>& stages, int i, const Entry& entry) const {
    using Stages = Stages<Stored>;
    const int rank = rank_in_cluster(), live = entry.live >> (rank * kConsumers) & ((1 << kConsumers) - 1);
    uint64_t* full = stages.full + i % Stages::count;
    stages.live[i % Stages::count] = live;
    // Parts of the slab that other blocks bring count too, and may land before this.
    mbarrier_arrive_expect(full, (Stages::slab_size + __popc(live) * kBlockSize) * 2);
    const int row = entry.tile * columns + first_slab_row + rank * (kSlabColumns / kCluster);
    Stored* slab = stages.slab(i) + rank * Stages::part;
    if constexpr (kCluster > 1)
      tma_load_multicast(slab, &slabs, full, 0, row, (1 << kCluster) - 1);
    else
      tma_load(slab, &slabs, full, 0, row);
#pragma unroll
    for (int g = 0; g < kConsumers; ++g)
      if (live >> g & 1) tma_load(stages.block(i, g), &blocks, full, 0, first_row[g] + entry.tile * kTileSize);
  }
};

constexpr int kTileSums = kTileSize * kSlabColumns / 128;  // of one thread

// One warpgroup's products.
template <class E>
class Multiplier {
 public:
  using Stored = typename E::Stored;

  __device__ __forceinline__ Multiplier(const Stages<Stored>& stages, int consumer)
      : stages_(stages), consumer_(consumer) {}

  // Entries that are dead for this warpgroup are passed over with no product under way; through a run of live ones the
  // products of one stage always are. In a single loop that does both, the compiler lets every product end before the
  // next begins (ptxas: C7515).
  __device__ __forceinline__ void run(int entries, float (&sums)[kTileSums]) const {
    int i = 0;
    while (i < entries) {
      if (!is_live(i)) {
        stages_.release(i++);
        continue;
      }
      multiply(i++, sums);
      while (i < entries && is_live(i)) {
        multiply(i, sums);
        wgmma_wait<1>(sums);
        stages_.release(i++ - 1);
      }
      wgmma_wait<0>(sums);
      stages_.release(i - 1);
    }
  }

 private:
  __device__ __forceinline__ bool is_live(int i) const {
    stages_.wait_until_full(i);
    // Every lane reads the same; this says so to the compiler.
    return __shfl_sync(~0u, stages_.live[i % Stages<Stored>::count], 0) >> consumer_ & 1;
  }

  __device__ __forceinline__ void multiply(int i, float (&sums)[kTileSums]) const {
    const uint64_t a = wgmma_descriptor(stages_.block(i, consumer_)), b = wgmma_descriptor(stages_.slab(i));
    wgmma_fence(sums);
#pragma unroll
    for (int k = 0; k < kTileSize / 16; ++k) multiply_16(sums, a + 2 * k, b + 2 * k, true, E{});
    wgmma_commit();
  }

  const Stages<Stored>& stages_;
  const int consumer_;
};

}  // namespace gica::cuda
