// The scores of a strip in one kernel, for patches of 3 x 3 and propagation by 3 x 3 or none.
//
// A block owns some columns of the foreground and some of the background, and walks down both maps together, a row of
// each at a time. The Gram products of the two rows' parts pass through shared memory once. A thread reads them along
// diagonals, where both sums along the rows are sums of neighbours; the sums down the columns join what the same thread
// had one and two steps before, and stay in its registers.
//
// Both maps are taken as flat runs of positions with a halo of 2, so that what lies past the end of a row is the next
// row's beginning: that is what row-major propagation asks for, and patches are cut off there by flags. Where
// column-major propagation leaves the map at the bottom, the walk's base jumps to the top of the next column.
#pragma once

#include "common/reduce.h"
#include "common/runs.h"

namespace gica::cuda {

// Brings in the operands of a step whose tiles begin, with halo, at flat positions p and q. Zeros lie outside the maps.
template <class K>
__device__ __forceinline__ void load_operands(const typename K::Stored* f, const typename K::Stored* b, const Shape& s,
                                              int p, int q, typename K::Stored* operands) {
  using Stored = typename K::Stored;
  const auto source = [depth = static_cast<unsigned>(s.depth)](const Stored* map, unsigned size, int first) {
    return [=](int step, int line, int column) -> CopySource<Stored> {
      const unsigned position = first + line, c = step * kDepth<typename K::E> + column;
      return {map + (position * depth + c), position < size && c < depth};
    };
  };
#pragma unroll 1
  for (int step = 0; step < K::steps(s.depth); ++step) {
    Stored* const background = operands + step * K::step_elements;
    load_tile<typename K::Background, K::threads>(background, source(b, s.Q, q), step);
    load_tile<typename K::Foreground, K::threads>(background + K::Background::elements, source(f, s.P, p), step);
  }
  cp_async_commit();
}

// Which part of the strip a block works on.
template <class K>
__device__ __forceinline__ Walk walk_of_block(const Shape& s, const Rect& strip) {
  const int tiles_across = (strip.width() + K::rows - 1) / K::rows;
  const int tiles = tiles_across * ((s.wb + K::columns - 1) / K::columns);
  const int diagonal = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  Walk walk;
  // Diagonals start along the strip's first row, then along the background's first.
  walk.y0 = strip.y0 + max(0, diagonal - s.hb + 1), walk.u0 = diagonal < s.hb ? diagonal : 0;
  walk.count = min(strip.y1 - walk.y0, s.hb - walk.u0);
  walk.x = strip.x0 + tile % tiles_across * K::rows, walk.v = tile / tiles_across * K::columns;
  return walk;
}

// Is any foreground position of the walk asked for?
template <class K>
__device__ __forceinline__ bool walk_wanted(const Walk& walk, const Shape& s, const Rect& strip,
                                            const uint8_t* wanted) {
  const int x = walk.x + static_cast<int>(threadIdx.x) % K::rows;
  bool any = false;
  for (int y = threadIdx.x / K::rows; y < walk.count; y += K::threads / K::rows)
    any |= x < strip.x1 && wanted[(walk.y0 + y) * s.wf + x] != 0;
  return any_thread(any);
}

// flags: which way patches may reach from the tile's positions in both maps.
template <class K>
__device__ __forceinline__ void note_reach(const WalkCell& cell, const Shape& s, uint8_t* flags) {
#pragma unroll 1
  for (int i = threadIdx.x; i < K::tile_rows + K::tile_columns; i += K::threads) {
    const bool of_f = i < K::tile_rows;
    const int at = of_f ? i : i + K::run, first = of_f ? cell.p + i : cell.q + i - K::tile_rows;
    flags[at] = reach(first - K::halo, of_f ? s.wf : s.wb);
  }
}

// One block per diagonal and pair of column tiles.
template <class K, bool fuse, Walked walked>
__global__ __launch_bounds__(K::threads, K::blocks) void walk_scores(WalkArguments<typename K::E> first, Shape s,
                                                                     Rect strip) {
  static_assert(K::threads % K::rows == 0, "walk_wanted takes whole rows");
  GICA_DYNAMIC_SHARED(shared);
  float* const tile = reinterpret_cast<float*>(shared + K::tile_offset);
  float* const norms = reinterpret_cast<float*>(shared + K::norm_offset);
  uint8_t* const flags = shared + K::flag_offset;
  auto& valid = *reinterpret_cast<typename K::ValidColumns*>(shared + K::valid_offset);
  auto* const operands = reinterpret_cast<typename K::Stored*>(shared + K::operand_offset);
  // In shared memory, since registers are what runs short.
  __shared__ Walk walk;
  __shared__ WalkCell cell, upcoming;
  __shared__ WalkArguments<typename K::E> a;
  constexpr size_t kAnyThread = 32 * sizeof(int);  // reduce.h
  static_assert(sizeof walk + sizeof cell + sizeof upcoming + sizeof a + kAnyThread <= kDynamicSharedAlignment);

  // Every pair of rows takes the tiles of its three taps; under the pair before, two of them are known.
  int step = fuse ? -1 : 0, tap = -1;
  if (threadIdx.x == 0) {
    walk = walk_of_block<K>(s, strip);
    upcoming = walk.cell(step, s);
    a = first.of_sample(s);
  }
  __syncthreads();
  if (!walk_wanted<K>(walk, s, strip, a.wanted)) return;

  const auto load = [&](const WalkCell& cell, int tap) {
    load_operands<K>(a.f, a.b, s, cell.p + tap * s.wf - K::halo, cell.q + tap * s.wb - K::halo, operands);
  };
  RunsOfThread<K> runs(tile, norms, flags, reinterpret_cast<RunBits*>(shared + K::bits_offset),
                       reinterpret_cast<float*>(shared + K::last_offset));
  load(upcoming, tap);
  for (;;) {
    {
      const WalkCell here = upcoming;
      const int q = here.q + static_cast<int>(threadIdx.x) - K::halo;
      const bool exists = threadIdx.x < K::tile_columns && q >= 0 && q < s.Q;
      const float norm = exists ? a.reciprocal_norm[q] : 0.f;
      const bool may_copy = walked == Walked::weights && exists && a.valid[q];
      K::Multiply::wait_for_operands();
      __syncthreads();
      if (threadIdx.x < K::tile_columns) norms[K::run + threadIdx.x] = norm;
      if (walked == Walked::weights && threadIdx.x / 32 < K::ValidColumns::words) {
        const uint32_t word = __ballot_sync(~0u, may_copy);
        if (threadIdx.x % 32 == 0) valid.bits[step & 1][1 + threadIdx.x / 32] = word;
      }
      if (tap == -1) note_reach<K>(here, s, flags);
      if (threadIdx.x == 0) {
        cell = here;
        if (tap == 1) upcoming = walk.cell(step + 1, s);
      }
    }
    K::Multiply::multiply(operands, K::steps(s.depth), [&](int q, int p, float first, float second) {
      tile[p * K::stride + q] = first;
      tile[(p + 1) * K::stride + q] = second;
    });
    __syncthreads();
    const bool last = tap == 1 && step == (fuse ? walk.count : walk.count - 1);
    const bool goes_on = upcoming.p == cell.p + s.wf && upcoming.q == cell.q + s.wb;
    const int next_tap = tap < 1 ? tap + 1 : goes_on ? 1 : -1;
    // The next operands come in while these products are summed up.
    if (!last) load(upcoming, next_tap);
    if (tap == -1) runs.start(walk, s, strip);
    const bool past_end = cell.p < K::halo || cell.p + K::rows + K::halo > s.P;
    runs.add(tap, [&](int r, int index, bool real, unsigned own, float (&scores)[K::run + 2]) {
      if (past_end) {
        const int p = cell.p + RunsOfThread<K>::first_row(index) - 1;
#pragma unroll
        for (int m = 0; m < K::run + 2; ++m)
          if (p + m < 0 || p + m >= s.P) scores[m] = 0;
      }
      if constexpr (walked == Walked::scores_and_patches) {
        keep_scores<K, fuse>(index, own, scores, walk, cell, step, s, first.kept_slots, a.kept);
        __syncwarp();  // what follows is worked out anew: kept, it would cost registers
      }
      float totals[K::run];
      runs.template finish<fuse>(r, index, scores, walk, cell, totals);
      const int finished = fuse ? step - 1 : step;
      if constexpr (walked == Walked::weights) {
        if (finished >= 0)
          store_weights<K>(index, real, own, walk, finished, s, strip, valid, totals, a.weights, a.pieces);
      } else {
        if (finished >= 0)
          Finished<K>(index, own, walk, finished, s, strip).store(totals, a.propagated, [](float x) { return x; });
      }
      // Runs one after the other, where what two of them need at once does not fit the registers.
      if constexpr (walked == Walked::weights || K::Multiply::scores_in_shared) __syncwarp();
    });
    if (last) return;
    if (tap == 1) ++step;
    tap = next_tap;
  }
}

template <class K, Walked walked>
Outcome launch_walk(const WalkArguments<typename K::E>& a, const Shape& s, const Rect& strip, int samples,
                    void* stream) {
  const int across = (strip.width() + K::rows - 1) / K::rows, tiles = (s.wb + K::columns - 1) / K::columns;
  // All along x, since the other axes of a grid end at 65535.
  const dim3 grid(across * tiles * (s.hb + strip.height() - 1), 1, samples), block(K::threads);
  const int bytes = K::shared_bytes(s.depth);
  if (s.fuse_radius == 0) return GICA_LAUNCH((walk_scores<K, false, walked>), grid, block, bytes, stream, a, s, strip);
  return GICA_LAUNCH((walk_scores<K, true, walked>), grid, block, bytes, stream, a, s, strip);
}

// How much of the operands the tiles of a width bring in for one row of the background, up to a factor.
template <class K>
int columns_brought(const Shape& s) {
  return (s.wb + K::columns - 1) / K::columns * K::tile_columns;
}

}  // namespace gica::cuda
