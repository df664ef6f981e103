// The functions of csrc/cuda/common/ptx.h for the emulator.
#pragma once

#include <cmath>
#include <limits>

#include "emulator/barriers.h"
#include "emulator/copies.h"
#include "emulator/matrix.h"

namespace gica::cuda {

using emulator::Site;

inline void cp_async_16(void* shared, const void* global, bool wanted = true, Site site = Site::here()) {
  emulator::copy_async(shared, global, 16, wanted, site);
}
inline void cp_async_commit() {
  emulator::commit_copies();
}
template <int N>
void cp_async_wait() {
  emulator::wait_for_copies(N);
}

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, Site site = Site::here()) {
  emulator::load_matrices<4, false>("ldmatrix_x4", r, row, site);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, Site site = Site::here()) {
  emulator::load_matrices<4, true>("ldmatrix_x4_trans", r, row, site);
}
inline void ldmatrix_x2(uint32_t (&r)[2], const void* row, Site site = Site::here()) {
  emulator::load_matrices<2, false>("ldmatrix_x2", r, row, site);
}
inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, Site site = Site::here()) {
  emulator::load_matrices<2, true>("ldmatrix_x2_trans", r, row, site);
}

inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::here()) {
  emulator::multiply_accumulate<emulator::Bf16>("mma_bf16", d, a, b, site);
}
inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::here()) {
  emulator::multiply_accumulate<emulator::F16>("mma_f16", d, a, b, site);
}
inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::here()) {
  emulator::multiply_accumulate<emulator::Tf32>("mma_tf32", d, a, b, site);
}

// Ties away from zero.
inline uint32_t to_tf32(float value) {
  const uint32_t bits = emulator::bits_of<uint32_t>(value);
  return value != value ? 0x7FFFFFFFu : (bits + 0x1000u) & 0xFFFFE000u;
}

inline float exp2_approx(float x) {
  const float y = std::exp2(x);
  return y < std::numeric_limits<float>::min() ? 0.f : y;
}

inline void named_barrier_sync(int id, int threads, Site site = Site::here()) {
  emulator::named_barrier(id, threads, true, site);
}
inline void named_barrier_arrive(int id, int threads, Site site = Site::here()) {
  emulator::named_barrier(id, threads, false, site);
}

}  // namespace gica::cuda
