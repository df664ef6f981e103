// The paste on 9.0: live blocks of Abar times slabs of pixels by asynchronous products of four warps.
#pragma once

#include "common/clear.h"
#include "sm90/live_list.h"
#include "sm90/output.h"
#include "sm90/pipeline.h"
#include "sm90/slabs.h"

namespace gica::cuda {

constexpr int kRowBytes = kTileSize * 2;  // of the matrices that tensor maps are of

struct PasteJob {
  const int *list, *count;
  int background_tiles;
  int columns;
  PasteItems items;
  float* partial;
  PasteOutput out;
};

// One cluster per item. Blocks of threads begin whenever a multiprocessor is free, so lists of unequal length even out.
template <class T, class E>
__global__ __launch_bounds__(kPasteThreads, 1) void paste_clusters(const __grid_constant__ TensorMap blocks,
                                                                   const __grid_constant__ TensorMap slabs,
                                                                   const __grid_constant__ PasteJob job) {
#if defined(GICA_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using Stored = typename E::Stored;
  GICA_DYNAMIC_SHARED(shared);
  const Stages<Stored> stages(shared);
  stages.initialise();
  const Shape& s = job.out.s;
  const int item = blockIdx.x / kCluster, rank = rank_in_cluster();
  const int group = job.items.group(item), part = job.items.part(item), split = job.items.split(item);
  const int length = of_sample(job.count, s)[group];
  const int begin = length * split / job.items.splits, end = length * (split + 1) / job.items.splits;
  const int role = threadIdx.x / 128 - 1, first_tile = group * kSharingTiles + rank * kConsumers;
  if (role < 0) {
    lower_registers<40>();
    if (threadIdx.x == 0) {
      const int row = static_cast<int>(blockIdx.z * (s.scratch_stride / kRowBytes));
      Loader loader = {blocks, slabs, job.columns, row + part * kSlabColumns, {}};
      for (int g = 0; g < kConsumers; ++g)
        loader.first_row[g] = row + tile_in_order(job.out.tiles, first_tile + g) * job.background_tiles * kTileSize;
      const int* list = of_sample(job.list, s) + static_cast<size_t>(group) * job.background_tiles;
      loader.run(stages, list + begin, end - begin);
    }
    __syncwarp();
  } else {
    raise_registers<232>();
    float sums[kTileSums] = {};
    Multiplier<E>(stages, role).run(end - begin, sums);
    const int index = first_tile + role;
    if (job.items.splits > 1)
      store_sums(sums_stored(of_sample(job.partial, s), item, index % kSharingTiles), sums);
    else
      write_tile<T>(job.out, tile_in_order(job.out.tiles, index), part, sums);
    __syncwarp();
  }
  Stages<Stored>::everyone();  // nobody leaves while others may still write or arrive here
#endif
}

template <class T, class E>
Outcome prepare_slabs(const PasteSm90Buffers& buffers, const Image& values, const Samples& samples, const Shape& s,
                      void* stream) {
  const TileTable tiles{s.background_grid()};
  const int columns = round_up_to(s.columns, kSlabColumns);
  return GICA_LAUNCH((phase_slabs<E>), dim3(tiles.count() * (columns / kSlabColumns), 1, samples.count), dim3(256), 0,
                     stream, values, samples.first, tiles, s, columns, static_cast<typename E::Stored*>(buffers.slabs));
}

// A matrix of rows of 64 elements, one in the scratch of each sample.
inline Outcome map_rows(TensorMap* map, const void* base, int64_t rows, int samples, const Shape& s, int box_rows) {
  const int64_t all = (samples - 1) * (s.scratch_stride / kRowBytes) + rows;
  Outcome made = make_tensor_map(map, base, kTileSize, all, kRowBytes, kTileSize, box_rows);
  if (made.error) made.what = "the driver makes no tensor map, without which the kernels for 9.0 cannot load";
  return made;
}

inline bool wide_stores(const Image& y) {
  const auto aligned = [](int64_t stride) { return stride % 8 == 0; };
  return y.stride[1] == 1 && aligned(y.stride[0]) && aligned(y.stride[2]) && aligned(y.stride[3]) &&
         reinterpret_cast<uintptr_t>(y.data) % 16 == 0;
}

template <class T, class E>
Outcome paste_slice(const PasteSlice& slice, const PasteSm90Buffers& buffers, const Shape& s, const Device& device,
                    void* stream) {
  const BlockGrid grid{slice.foreground, slice.background};
  const int columns = round_up_to(s.columns, kSlabColumns);
  const int samples = slice.samples.count;
  const PasteItems items = PasteItems::of(s, slice.foreground, slice.background, buffers.samples, device);
  const PasteOutput out = {slice.foreground, s, slice.query, slice.samples.first, slice.y, wide_stores(slice.y)};
  const PasteJob job = {slice.list, slice.count, grid.across(), columns, items, buffers.partial, out};
  TensorMap blocks, slabs;
  GICA_TRY(map_rows(&blocks, slice.blocks, int64_t{grid.count()} * kTileSize, samples, s, kTileSize));
  GICA_TRY(map_rows(&slabs, buffers.slabs, int64_t{grid.across()} * columns, samples, s, kSlabColumns / kCluster));
  GICA_TRY(GICA_LAUNCH(list_shared, dim3(items.groups, 1, samples), dim3(32), 0, stream, slice.live, grid, s,
                       slice.list, slice.count));
  GICA_TRY(GICA_LAUNCH_CLUSTER((paste_clusters<T, E>), dim3(items.count() * kCluster, 1, samples), dim3(kPasteThreads),
                               kCluster, Stages<typename E::Stored>::bytes, stream, blocks, slabs, job));
  if (items.splits == 1) return {};
  return GICA_LAUNCH((finish_tiles<T>), dim3(items.groups * kSharingTiles, items.parts, samples), dim3(128), 0, stream,
                     buffers.partial, items, out);
}

}  // namespace gica::cuda
