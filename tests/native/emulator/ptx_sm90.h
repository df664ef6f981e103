// The functions of csrc/cuda/common/ptx_sm90.h for the emulator.
#pragma once

#include "emulator/bulk_copies.h"
#include "emulator/cluster.h"
#include "emulator/mbarrier.h"
#include "emulator/wgmma.h"

namespace gica::cuda {

using emulator::Site;
using emulator::TensorMap;

inline Outcome make_tensor_map(TensorMap* map, const void* base, uint64_t columns, uint64_t rows, uint64_t row_bytes,
                               int box_columns, int box_rows) {
  if (const char* why = emulator::refused(base, columns, rows, row_bytes, box_columns, box_rows)) return {1, why};
  *map = {static_cast<const unsigned char*>(base), static_cast<int64_t>(columns), static_cast<int64_t>(rows),
          static_cast<int64_t>(row_bytes), box_rows};
  return {};
}

inline void mbarrier_init(uint64_t* barrier, int arrivals, Site site = Site::here()) {
  emulator::init_phase_barrier(barrier, arrivals, site);
}
inline void mbarrier_init_fence() {}
inline void mbarrier_arrive(uint64_t* barrier, Site site = Site::here()) {
  emulator::arrive(*emulator::phase_barrier(barrier, "mbarrier_arrive", site), site);
}
inline void mbarrier_arrive_at(uint64_t* barrier, int block, Site site = Site::here()) {
  mbarrier_arrive(emulator::in_block(barrier, block, site), site);
}
inline void mbarrier_arrive_expect(uint64_t* barrier, int bytes, Site site = Site::here()) {
  emulator::PhaseBarrier& b = *emulator::phase_barrier(barrier, "mbarrier_arrive_expect", site);
  emulator::announce(b, bytes);
  emulator::arrive(b, site);
}
inline void mbarrier_wait(uint64_t* barrier, uint32_t parity, Site site = Site::here()) {
  emulator::wait_for_phase(*emulator::phase_barrier(barrier, "mbarrier_wait", site), parity, site);
}

inline void tma_prefetch(const TensorMap*) {}
inline void tma_load(void* shared, const TensorMap* map, uint64_t* barrier, int x, int y, Site site = Site::here()) {
  emulator::load_tile("tma_load", shared, *map, barrier, x, y, 1u << emulator::current().block->rank, site);
}
inline void tma_load_multicast(void* shared, const TensorMap* map, uint64_t* barrier, int x, int y, uint16_t blocks,
                               Site site = Site::here()) {
  emulator::load_tile("tma_load_multicast", shared, *map, barrier, x, y, blocks, site);
}
inline void bulk_load(void* shared, const void* global, int bytes, uint64_t* barrier, Site site = Site::here()) {
  emulator::load_bytes(shared, global, bytes, barrier, site);
}

inline uint64_t wgmma_descriptor(const void* tile, Site site = Site::here()) {
  return emulator::describe_tile(tile, site);
}
inline uint64_t wgmma_moved(uint64_t descriptor, int by) {
  return (descriptor & 0xFFFFFFFF00000000) | (static_cast<uint32_t>(descriptor) + by);
}
template <int Count>
void wgmma_bf16(float (&d)[Count], uint64_t a, uint64_t b, bool accumulate = true, Site site = Site::here()) {
  emulator::wgmma<emulator::Bf16>("wgmma_bf16", d, a, b, accumulate, site);
}
template <int Count>
void wgmma_f16(float (&d)[Count], uint64_t a, uint64_t b, bool accumulate = true, Site site = Site::here()) {
  emulator::wgmma<emulator::F16>("wgmma_f16", d, a, b, accumulate, site);
}
template <int Count>
void wgmma_fence(float (&)[Count], Site site = Site::here()) {
  emulator::fence_wgmma(site);
}
inline void wgmma_commit(Site site = Site::here()) {
  emulator::commit_wgmma(site);
}
template <int N, int Count>
void wgmma_wait(float (&)[Count], Site site = Site::here()) {
  emulator::wait_wgmma(N, site);
}

inline int cluster_rank() {
  return emulator::current().block->rank;
}
inline void cluster_sync(Site site = Site::here()) {
  emulator::cluster_barrier(site);
}

inline void fence_async_proxy() {
  emulator::fence_copies();
}
template <int Registers>
void raise_registers() {}
template <int Registers>
void lower_registers() {}

}  // namespace gica::cuda
