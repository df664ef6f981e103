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

#include <type_traits>

#include "common/pieces.h"
#include "common/product.h"
#include "common/reduce.h"

namespace gica::cuda {

// The operands of one step of the walk lie in shared memory whole, a tile of each for every step of depth. How they lie
// there, and which instructions multiply them, is the Product's: WarpProduct (sm80), WarpgroupProduct (sm90).
template <template <class E, int rows, int columns, int warps> class Product, class E_, int columns_, int warps_>
struct WalkShape {
  using E = E_;
  using Stored = typename E::Stored;
  static constexpr int halo = 2, run = 8, warps = warps_, threads = 32 * warps;
  static constexpr int rows = 64, columns = columns_;  // foreground and background positions that a step finishes
  static constexpr int tile_rows = 72, tile_columns = (columns + 2 * halo + 15) / 16 * 16;  // with halo
  using Multiply = Product<E, tile_rows, tile_columns, warps>;
  using Background = typename Multiply::Background;
  using Foreground = typename Multiply::Foreground;
  static constexpr int stride = (tile_columns + 11) / 16 * 16 + 4;  // 4 mod 16: the product's stores meet no bank twice
  static constexpr int blocks = columns <= 64 ? 2 : 1;              // of a multiprocessor
  // A run of 8 on a diagonal starts up to 7 columns before the tile.
  static constexpr int runs_across = columns + run, runs = rows / run * runs_across;  // whole pieces (pieces.h)
  static constexpr int runs_each = (runs + threads - 1) / threads;

  // Which columns of the tile may be copied, in two rows of the background, whose scores are finished one step later: a
  // bit each, behind a word that stands for what lies in front.
  struct ValidColumns {
    static constexpr int words = (tile_columns + 31) / 32;
    uint32_t bits[2][words + 2];
  };

  // Shared memory: the tile of products, norms, flags, operands. What a run reads of its tile before its own columns
  // may lie in front of the tile.
  static constexpr int tile_offset = run * 4, norm_offset = tile_offset + tile_rows * stride * 4;
  static constexpr int flag_offset = norm_offset + (tile_columns + run) * 4;
  static constexpr int valid_offset = (flag_offset + tile_rows + tile_columns + 2 * run + 3) / 4 * 4;
  static constexpr int operand_offset =
      (valid_offset + static_cast<int>(sizeof(ValidColumns)) + Multiply::alignment - 1) / Multiply::alignment *
      Multiply::alignment;
  static constexpr int step_elements = Background::elements + Foreground::elements;
  GICA_HOST_DEVICE static constexpr int steps(int depth) { return (depth + kDepth<E> - 1) / kDepth<E>; }
  static constexpr int shared_bytes(int depth) {
    return operand_offset + steps(depth) * step_elements * static_cast<int>(sizeof(Stored));
  }
};

// One step of a walk: the flat positions of the tile's corner in both maps, without halo. A column whose neighbour in
// column-major order does not exist is named in end_f, end_b; -1: none.
struct WalkCell {
  int p, q, end_f, end_b;
};

// A diagonal of (foreground row, background row) pairs inside the strip: the first rows, the number of pairs, the
// tile's first columns.
struct Walk {
  int y0, u0, count, x, v;

  static __device__ __forceinline__ int above(int row, int column, int height, int width, int* end) {
    if (row > 0) return (row - 1) * width + column;
    *end = 0;
    return (height - 1) * width + column - 1;
  }
  static __device__ __forceinline__ int below(int row, int column, int height, int width, int* end) {
    if (row < height - 1) return (row + 1) * width + column;
    *end = width - 1;
    return column + 1;
  }
  // Steps -1 and `count` are the column-major neighbours of the first and the last pair.
  __device__ __forceinline__ WalkCell cell(int step, const Shape& s) const {
    WalkCell c = {0, 0, -1, -1};
    if (step < 0) {
      c.p = above(y0, x, s.hf, s.wf, &c.end_f), c.q = above(u0, v, s.hb, s.wb, &c.end_b);
    } else if (step == count) {
      c.p = below(y0 + count - 1, x, s.hf, s.wf, &c.end_f), c.q = below(u0 + count - 1, v, s.hb, s.wb, &c.end_b);
    } else {
      c.p = (y0 + step) * s.wf + x, c.q = (u0 + step) * s.wb + v;
    }
    return c;
  }
};

// Whether patches may reach to the left (1) and to the right (2) of a position in its row.
__device__ __forceinline__ uint8_t reach(int position, int width) {
  const int rest = position % width, x = rest < 0 ? rest + width : rest;
  return (x > 0 ? 1 : 0) | (x < width - 1 ? 2 : 0);
}

// What a thread keeps of one of its runs from step to step. Index m of the patch sums is element m - 1 of the run.
template <class K>
struct Run {
  static constexpr int length = K::run;
  float patch_two[length + 2], patch_one[length + 2];  // row sums of the last two steps together, of the last
  float score_two[length], score_one[length];          // the same of the row-major sums
  unsigned reach;                                      // bit m: a patch may reach to the left; 16 + m: to the right
};

template <class K>
class RunsOfThread {
 public:
  static constexpr int run = K::run, halo = K::halo;

  __device__ __forceinline__ RunsOfThread(const float* tile, const float* norms, const uint8_t* flags)
      : tile_(tile), norms_(norms), flags_(flags) {
#pragma unroll
    for (int r = 0; r < K::runs_each; ++r)
#pragma unroll
      for (int k = 0; k < run; ++k) runs_[r].score_two[k] = runs_[r].score_one[k] = 0;
  }

  __device__ __forceinline__ static int first_row(int index) { return index / K::runs_across * run; }
  __device__ __forceinline__ static int first_column(int index) { return index % K::runs_across - (run - 1); }

  // At the start of a walk and where its base jumps: which taps exist, and nothing summed yet.
  __device__ __forceinline__ void start() {
#pragma unroll
    for (int r = 0; r < K::runs_each; ++r) {
      const int index = index_of(r);
      const uint8_t* rows = flags_ + first_row(index) + halo - 1;
      const uint8_t* columns = flags_ + K::tile_rows + run + first_column(index) + halo - 1;
      unsigned reach = 0;
#pragma unroll
      for (int m = 0; m < run + 2; ++m) {
        const unsigned both = rows[m] & columns[m];
        reach |= (both & 1) << m | (both >> 1 & 1) << (16 + m);
      }
      runs_[r].reach = reach;
    }
  }

  // tap: -1, 0 or 1, the row of the patch that the tile in shared memory is. With 1 `finish` gets the patch scores.
  template <class Finish>
  __device__ __forceinline__ void add(int tap, const Finish& finish) {
#pragma unroll
    for (int r = 0; r < K::runs_each; ++r) {
      Run<K>& state = runs_[r];
      const int index = index_of(r);
      float sums[run + 2];
      row_sums(state, index, sums);
      if (tap < 0) {
#pragma unroll
        for (int m = 0; m < run + 2; ++m) state.patch_two[m] = sums[m];
      } else if (tap == 0) {
#pragma unroll
        for (int m = 0; m < run + 2; ++m) state.patch_two[m] += sums[m], state.patch_one[m] = sums[m];
      } else {
        float scores[run + 2];
        const float* norms = norms_ + run + first_column(index) + halo - 1;
#pragma unroll
        for (int m = 0; m < run + 2; ++m) {
          scores[m] = (state.patch_two[m] + sums[m]) * norms[m];
          state.patch_two[m] = state.patch_one[m] + sums[m], state.patch_one[m] = sums[m];
        }
        finish(state, index, is_real(r), scores);
      }
    }
  }

 private:
  // Some threads have a run too many: it is the last one again, and stores the same scores.
  __device__ __forceinline__ static int index_of(int r) {
    return is_real(r) ? threadIdx.x + r * K::threads : K::runs - 1;
  }
  __device__ __forceinline__ static bool is_real(int r) {
    return static_cast<int>(threadIdx.x) + r * K::threads < K::runs;
  }

  __device__ __forceinline__ void row_sums(const Run<K>& state, int index, float (&sums)[run + 2]) const {
    const float* at = tile_ + (first_row(index) + halo) * K::stride + first_column(index) + halo;
    const auto product = [&](int m) { return at[(m - 1) * (K::stride + 1)]; };
    constexpr unsigned one_way = (1u << (run + 2)) - 1, everywhere = one_way | one_way << 16;
    float before = product(-1), here = product(0);
    if (state.reach == everywhere) {
#pragma unroll
      for (int m = 0; m < run + 2; ++m) {
        const float next = product(m + 1);
        sums[m] = here + before + next;
        before = here, here = next;
      }
    } else {
#pragma unroll
      for (int m = 0; m < run + 2; ++m) {
        const float next = product(m + 1);
        sums[m] = here + (state.reach >> m & 1 ? before : 0.f) + (state.reach >> (16 + m) & 1 ? next : 0.f);
        before = here, here = next;
      }
    }
  }

  const float *tile_, *norms_;
  const uint8_t* flags_;
  Run<K> runs_[K::runs_each];
};

// Brings in the operands of a step whose tiles begin, with halo, at flat positions p and q. Zeros lie outside the maps.
template <class K>
__device__ __forceinline__ void load_operands(const typename K::Stored* f, const typename K::Stored* b, const Shape& s,
                                              int p, int q, typename K::Stored* operands) {
  const auto source = [depth = s.depth](const typename K::Stored* map, int size, int first) {
    return [=](int step, int line, int column) -> const typename K::Stored* {
      const int position = first + line, c = step * kDepth<typename K::E> + column;
      return position >= 0 && position < size && c < depth ? map + static_cast<size_t>(position) * depth + c : nullptr;
    };
  };
  for (int step = 0; step < K::steps(s.depth); ++step) {
    K::Background::template load<K::threads>(operands + step * K::step_elements, source(b, s.Q, q), step);
    K::Foreground::template load<K::threads>(operands + step * K::step_elements + K::Background::elements,
                                             source(f, s.P, p), step);
  }
  cp_async_commit();
}

// Which part of the strip a block works on.
template <class K>
__device__ __forceinline__ Walk walk_of_block(const Shape& s, const Rect& strip) {
  const int tiles_across = (strip.width() + K::rows - 1) / K::rows;
  const int diagonal = blockIdx.y, tile = blockIdx.x;
  Walk walk;
  // Diagonals start along the strip's first row, then along the background's first.
  walk.y0 = strip.y0 + max(0, diagonal - s.hb + 1), walk.u0 = diagonal < s.hb ? diagonal : 0;
  walk.count = min(strip.y1 - walk.y0, s.hb - walk.u0);
  walk.x = strip.x0 + tile % tiles_across * K::rows, walk.v = tile / tiles_across * K::columns;
  return walk;
}

// The elements of a run that lie in the strip, in the tile and in the background's row; none where end <= begin.
struct OwnElements {
  int begin, end;
};
template <class K>
__device__ __forceinline__ OwnElements own_elements(int index, const Walk& walk, const Shape& s, const Rect& strip) {
  const int i0 = RunsOfThread<K>::first_row(index), c0 = RunsOfThread<K>::first_column(index);
  const int rows_left = strip.x1 - walk.x - i0, columns_left = min(K::columns, s.wb - walk.v) - c0;
  return {max(0, -c0), min(K::run, min(rows_left, columns_left))};
}

// Row-major sums of a run, then column-major ones: the finished scores of the pair of rows before.
template <class K, bool fuse>
__device__ __forceinline__ void finish_run(Run<K>& state, int index, const float (&scores)[K::run + 2],
                                           const Walk& walk, const WalkCell& cell, float (&totals)[K::run]) {
  const int i0 = RunsOfThread<K>::first_row(index), c0 = RunsOfThread<K>::first_column(index);
#pragma unroll
  for (int k = 0; k < K::run; ++k) totals[k] = fuse ? scores[k] + scores[k + 1] + scores[k + 2] : scores[k + 1];
  if (fuse && (cell.end_f >= 0 || cell.end_b >= 0)) {
#pragma unroll
    for (int k = 0; k < K::run; ++k)
      if (walk.x + i0 + k == cell.end_f || walk.v + c0 + k == cell.end_b) totals[k] = 0;
  }
  if (fuse) {
#pragma unroll
    for (int k = 0; k < K::run; ++k) {
      const float three = state.score_two[k] + totals[k];
      state.score_two[k] = state.score_one[k] + totals[k], state.score_one[k] = totals[k];
      totals[k] = three;
    }
  }
}

// Where the run's elements of the step's pair of rows go: the row of the strip, and which are its own, a bit each.
template <class K>
struct Finished {
  int row;
  unsigned own, first, down;

  __device__ __forceinline__ Finished(int index, const Walk& walk, int step, const Shape& s, const Rect& strip) {
    const int i0 = RunsOfThread<K>::first_row(index), c0 = RunsOfThread<K>::first_column(index);
    const OwnElements elements = own_elements<K>(index, walk, s, strip);
    own = elements.end > elements.begin ? (1u << elements.end) - (1u << elements.begin) : 0;
    row = (walk.y0 + step - strip.y0) * strip.width() + walk.x - strip.x0 + i0;
    // A strip has fewer than 2^32 scores (select.cpp).
    first = static_cast<unsigned>(row) * s.row_stride + (walk.u0 + step) * s.wb + walk.v + c0;
    down = s.row_stride + 1;
  }

  template <class T, class Convert>
  __device__ __forceinline__ void store(const float (&values)[K::run], T* to, const Convert& convert) const {
    if (own == (1u << K::run) - 1) {
#pragma unroll
      for (int k = 0; k < K::run; ++k) to[first + k * down] = convert(values[k]);
    } else {
#pragma unroll
      for (int k = 0; k < K::run; ++k)
        if (own >> k & 1) to[first + k * down] = convert(values[k]);
    }
  }
};

// Weights in place of scores. real: whether the thread has this run, and not the last one again.
template <class K>
__device__ __forceinline__ void store_weights(int index, bool real, const Walk& walk, int step, const Shape& s,
                                              const Rect& strip, const typename K::ValidColumns& valid,
                                              float (&totals)[K::run], typename K::Stored* weights, Piece* pieces) {
  const int c0 = RunsOfThread<K>::first_column(index), bit = c0 + K::halo + 32;
  const uint32_t* words = valid.bits[step & 1] + bit / 32;
  const unsigned own = Finished<K>(index, walk, step, s, strip).own;
  Piece piece;
  piece.max = weigh(s, own & __funnelshift_r(words[0], words[1], bit), totals);
  __syncwarp();
  const Finished<K> to(index, walk, step, s, strip);  // anew: kept, it would cost registers
  to.store(totals, weights, [](float x) { return K::E::store(x); });
  piece.sum = fold_across(totals, [](float a, float b) { return a + b; });
  const int shift = threadIdx.x % K::run, x = walk.x + RunsOfThread<K>::first_row(index) + shift;
  if (real && x < strip.x1) {
    const PieceGrid grid = PieceGrid::of(s, K::columns);
    const int at = (walk.u0 + step) * grid.across() + walk.v / K::columns * grid.of_tile() + (c0 + K::run - 1) / K::run;
    pieces[static_cast<unsigned>(to.row + shift) * grid.count(s) + at] = piece;
  }
}

// The patch scores of a run at the slots of the strip (slots.h): those that go into scores of the strip, which are the
// run's own and its neighbours on the diagonal. Two blocks may store the same score.
template <class K, bool fuse>
__device__ __forceinline__ void keep_scores(int index, const float (&patches)[K::run + 2], const Walk& walk,
                                            const WalkCell& cell, int step, const Shape& s, const Rect& strip,
                                            float* kept) {
  constexpr int halo = fuse ? 1 : 0;
  const int i0 = RunsOfThread<K>::first_row(index), c0 = RunsOfThread<K>::first_column(index);
  const OwnElements own = own_elements<K>(index, walk, s, strip);
  if (own.begin >= own.end) return;
  const int q = cell.q + c0 - 1;
  const int begin = max(own.begin + 1 - halo, -q), end = min(own.end + 1 + halo, s.Q - q);
  const int group = walk.y0 - strip.y0 + step + halo, slot = walk.x - strip.x0 + i0 + halo - 1;
  const unsigned row = group * (strip.width() + 2 * halo) + slot;
  const unsigned first = row * s.row_stride + q, down = s.row_stride + 1;
#pragma unroll
  for (int m = 0; m < K::run + 2; ++m)
    if (m >= begin && m < end) kept[first + m * down] = patches[m];
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

// What a walk leaves behind: propagated[row of the strip][q]; with them kept[slot][q], the patch scores, where a
// gradient can reach them; or weights and their pieces.
enum class Walked { scores, scores_and_patches, weights };

template <class E>
struct WalkArguments {
  const typename E::Stored *f, *b;
  const float* reciprocal_norm;
  const uint8_t *wanted, *valid;
  float *propagated, *kept;
  typename E::Stored* weights;
  Piece* pieces;
};

// One block per diagonal and pair of column tiles.
template <class K, bool fuse, Walked walked>
__global__ __launch_bounds__(K::threads, K::blocks) void walk_scores(WalkArguments<typename K::E> a, Shape s,
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
  __shared__ WalkCell shared_cell;
  if (threadIdx.x == 0) walk = walk_of_block<K>(s, strip);
  __syncthreads();
  if (!walk_wanted<K>(walk, s, strip, a.wanted)) return;

  const auto load = [&](const WalkCell& cell, int tap) {
    load_operands<K>(a.f, a.b, s, cell.p + tap * s.wf - K::halo, cell.q + tap * s.wb - K::halo, operands);
  };
  RunsOfThread<K> runs(tile, norms, flags);
  // Every pair of rows takes the tiles of its three taps; under the pair before, two of them are known.
  int step = fuse ? -1 : 0, tap = -1;
  load(walk.cell(step, s), tap);
  for (;;) {
    {
      const WalkCell here = walk.cell(step, s);
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
      if (threadIdx.x == 0) shared_cell = here;
    }
    K::Multiply::multiply(operands, K::steps(s.depth), [&](int q, int p, float first, float second) {
      tile[p * K::stride + q] = first;
      tile[(p + 1) * K::stride + q] = second;
    });
    __syncthreads();
    // The step's cell is read from shared memory wherever it is needed, or for float32 worked out anew: of the two,
    // what leaves the compiler the registers it needs.
    constexpr bool anew = std::is_same_v<typename K::E, Float32>;
    const WalkCell worked_out = anew ? walk.cell(step, s) : WalkCell{};
    const WalkCell& cell = anew ? worked_out : shared_cell;
    const bool last = tap == 1 && step == (fuse ? walk.count : walk.count - 1);
    int next_tap = tap + 1;
    if (tap == 1) {
      const WalkCell next = walk.cell(step + 1, s);
      next_tap = next.p == cell.p + s.wf && next.q == cell.q + s.wb ? 1 : -1;
    }
    // The next operands come in while these products are summed up.
    if (!last) load(tap == 1 ? walk.cell(step + 1, s) : cell, next_tap);
    if (tap == -1) runs.start();
    const bool past_end = cell.p < K::halo || cell.p + K::rows + K::halo > s.P;
    runs.add(tap, [&](Run<K>& state, int index, bool real, float (&scores)[K::run + 2]) {
      if (past_end) {
        const int p = cell.p + RunsOfThread<K>::first_row(index) - 1;
#pragma unroll
        for (int m = 0; m < K::run + 2; ++m)
          if (p + m < 0 || p + m >= s.P) scores[m] = 0;
      }
      if constexpr (walked == Walked::scores_and_patches) {
        keep_scores<K, fuse>(index, scores, walk, cell, step, s, strip, a.kept);
        __syncwarp();  // what follows is worked out anew: kept, it would cost registers
      }
      float totals[K::run];
      finish_run<K, fuse>(state, index, scores, walk, cell, totals);
      const int finished = fuse ? step - 1 : step;
      if constexpr (walked == Walked::weights) {
        if (finished >= 0) store_weights<K>(index, real, walk, finished, s, strip, valid, totals, a.weights, a.pieces);
      } else {
        if (finished >= 0)
          Finished<K>(index, walk, finished, s, strip).store(totals, a.propagated, [](float x) { return x; });
      }
      // Runs one after the other: what two of them need at once does not fit the registers.
      if constexpr (walked == Walked::weights) __syncwarp();
    });
    if (last) return;
    if (tap == 1) ++step;
    tap = next_tap;
  }
}

template <class K, Walked walked>
Outcome launch_walk(const WalkArguments<typename K::E>& a, const Shape& s, const Rect& strip, void* stream) {
  const int across = (strip.width() + K::rows - 1) / K::rows, tiles = (s.wb + K::columns - 1) / K::columns;
  const dim3 grid(across * tiles, s.hb + strip.height() - 1), block(K::threads);
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
