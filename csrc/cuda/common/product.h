// One block's part of a matrix product: accumulators += A B over steps of depth, operands brought in by asynchronous
// copies two stages deep.
#pragma once

#include "common/element.h"
#include "common/launch.h"
#include "common/ptx.h"

namespace gica::cuda {

// How an operand lies in memory, hence in shared memory: its depth runs along the lines, or the lines follow each other
// in depth.
enum class Lines { along_depth, across_depth };

template <class E>
constexpr int kDepth = 128 / static_cast<int>(sizeof(typename E::Stored));  // elements of depth in one step

// Zeros come from where nothing is wanted.
template <class Stored>
struct CopySource {
  const Stored* address;
  bool wanted = true;
};

// A tile of an operand: `rows` rows (columns, for B) by one step of depth.
template <class E, int rows, Lines lines>
struct OperandTile {
  using Stored = typename E::Stored;
  static constexpr bool along = lines == Lines::along_depth, swizzled = false;
  static constexpr int count = along ? rows : kDepth<E>, length = along ? kDepth<E> : rows;
  // Eight lines start in eight different groups of banks.
  static constexpr int stride = length + (!along && sizeof(Stored) == 4 ? 8 : kPerCopy<E>);
  static constexpr int elements = count * stride;

  // Where 16 bytes of a line lie.
  static __device__ __forceinline__ int place(int line, int piece) { return line * stride + piece * kPerCopy<E>; }

  static __device__ __forceinline__ float at(const Stored* tile, int row, int depth) {
    return to_float(tile[along ? row * stride + depth : depth * stride + row]);
  }
};

// Starts the copies of a tile's lines. source(step, line, column) is where 16 bytes come from. A thread copies the same
// piece of every so many lines, whose places are as far apart: of a swizzled tile, every 8th or a multiple.
template <class Tile, int threads, class Stored, class Source>
__device__ __forceinline__ void load_tile(Stored* tile, const Source& source, int step) {
  constexpr int per_copy = 16 / static_cast<int>(sizeof(Stored)), copies = Tile::length / per_copy;
  constexpr int together = threads / copies;
  static_assert(threads % copies == 0 && (together % 8 == 0 || !Tile::swizzled));
  const int line = threadIdx.x / copies, piece = threadIdx.x % copies;
  Stored* const to = tile + Tile::place(line, piece);
#pragma unroll
  for (int more = 0; more < Tile::count; more += together)
    if (more + together <= Tile::count || line + more < Tile::count) {
      const CopySource<Stored> from = source(step, line + more, piece * per_copy);
      cp_async_16(to + more * Tile::stride, from.address, from.wanted);
    }
}

// What one warp adds up: m_tiles x n_tiles of the m16n8 matrix instructions, whose accumulators these are in every
// arithmetic. A and B are operand tiles; first_row and first_column say where in them the warp works.
template <class E, class A, class B, int m_tiles, int n_tiles>
struct Accumulators {
  using Stored = typename E::Stored;
  float sums[m_tiles][n_tiles][4];

  __device__ __forceinline__ Accumulators() {
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
      for (int n = 0; n < n_tiles; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[m][n][e] = 0;
  }

  // Adds one step of depth.
  __device__ __forceinline__ void add(const Stored* a, const Stored* b, int first_row, int first_column) {
    if constexpr (sizeof(Stored) == 2)
      add_16_bit(a, b, first_row, first_column);
    else
      add_32_bit(a, b, first_row, first_column, E{});
  }

  // store(row, column, first, second): two sums side by side.
  template <class Store>
  __device__ __forceinline__ void each_pair(int first_row, int first_column, const Store& store) const {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
      for (int n = 0; n < n_tiles; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          store(first_row + m * 16 + lane / 4 + half * 8, first_column + n * 8 + lane % 4 * 2, sums[m][n][2 * half],
                sums[m][n][2 * half + 1]);
  }

 private:
  __device__ __forceinline__ void add_16_bit(const Stored* a, const Stored* b, int first_row, int first_column) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int depth = 0; depth < kDepth<E>; depth += 16) {
      uint32_t of_a[m_tiles][4];
#pragma unroll
      for (int m = 0; m < m_tiles; ++m) {
        const int row = first_row + m * 16;
        if constexpr (A::along)
          ldmatrix_x4(of_a[m], a + (row + lane % 16) * A::stride + depth + lane / 16 * 8);
        else
          ldmatrix_x4_trans(of_a[m], a + (depth + lane % 8 + lane / 16 * 8) * A::stride + row + lane / 8 % 2 * 8);
      }
#pragma unroll
      for (int n = 0; n + 1 < n_tiles; n += 2) {
        const int column = first_column + n * 8;
        uint32_t both[4];
        if constexpr (B::along)
          ldmatrix_x4(both, b + (column + lane % 8 + lane / 16 * 8) * B::stride + depth + lane / 8 % 2 * 8);
        else
          ldmatrix_x4_trans(both, b + (depth + lane % 16) * B::stride + column + lane / 16 * 8);
        const uint32_t first[2] = {both[0], both[1]}, second[2] = {both[2], both[3]};
#pragma unroll
        for (int m = 0; m < m_tiles; ++m) {
          multiply_add(sums[m][n], of_a[m], first, E{});
          multiply_add(sums[m][n + 1], of_a[m], second, E{});
        }
      }
      if constexpr (n_tiles % 2 == 1) {
        const int column = first_column + (n_tiles - 1) * 8;
        uint32_t last[2];
        if constexpr (B::along)
          ldmatrix_x2(last, b + (column + lane % 8) * B::stride + depth + lane / 8 % 2 * 8);
        else
          ldmatrix_x2_trans(last, b + (depth + lane % 16) * B::stride + column);
#pragma unroll
        for (int m = 0; m < m_tiles; ++m) multiply_add(sums[m][n_tiles - 1], of_a[m], last, E{});
      }
    }
  }
  static __device__ __forceinline__ void multiply_add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                                      BFloat16) {
    mma_bf16(d, a, b);
  }
  static __device__ __forceinline__ void multiply_add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                                      Half) {
    mma_f16(d, a, b);
  }

  __device__ __forceinline__ void add_32_bit(const Stored* a, const Stored* b, int first_row, int first_column, Tf32) {
    const int group = threadIdx.x % 32 / 4, quad = threadIdx.x % 4;
#pragma unroll 1
    for (int depth = 0; depth < kDepth<E>; depth += 8) {
      uint32_t of_a[m_tiles][4];
#pragma unroll
      for (int m = 0; m < m_tiles; ++m)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          of_a[m][e] = to_tf32(A::at(a, first_row + m * 16 + group + e % 2 * 8, depth + quad + e / 2 * 4));
#pragma unroll
      for (int n = 0; n < n_tiles; ++n) {
        uint32_t of_b[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) of_b[e] = to_tf32(B::at(b, first_column + n * 8 + group, depth + quad + e * 4));
#pragma unroll
        for (int m = 0; m < m_tiles; ++m) mma_tf32(sums[m][n], of_a[m], of_b);
      }
    }
  }

  __device__ __forceinline__ void add_32_bit(const Stored* a, const Stored* b, int first_row, int first_column,
                                             Float32) {
    const int group = threadIdx.x % 32 / 4, quad = threadIdx.x % 4;
#pragma unroll 2
    for (int depth = 0; depth < kDepth<E>; ++depth) {
      float of_a[m_tiles][2];
#pragma unroll
      for (int m = 0; m < m_tiles; ++m)
#pragma unroll
        for (int e = 0; e < 2; ++e) of_a[m][e] = A::at(a, first_row + m * 16 + group + e * 8, depth);
#pragma unroll
      for (int n = 0; n < n_tiles; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const float of_b = B::at(b, first_column + n * 8 + quad * 2 + e, depth);
#pragma unroll
          for (int m = 0; m < m_tiles; ++m) {
            sums[m][n][e] = fmaf(of_a[m][0], of_b, sums[m][n][e]);
            sums[m][n][2 + e] = fmaf(of_a[m][1], of_b, sums[m][n][2 + e]);
          }
        }
    }
  }
};

// A product of a whole block, its warps side by side; operands come in two stages deep.
template <class E_, int warps_down, int warps_across, int m_tiles, int n_tiles, Lines a_lines, Lines b_lines>
class Product {
 public:
  using E = E_;
  using Stored = typename E::Stored;
  static constexpr int threads = 32 * warps_down * warps_across;
  static constexpr int rows = 16 * m_tiles * warps_down, columns = 8 * n_tiles * warps_across;
  using A = OperandTile<E, rows, a_lines>;
  using B = OperandTile<E, columns, b_lines>;
  static constexpr int stage = A::elements + B::elements;
  static constexpr int shared_bytes = 2 * stage * static_cast<int>(sizeof(Stored));

  template <class ASource, class BSource>
  __device__ __forceinline__ void multiply(unsigned char* shared, int steps, const ASource& a, const BSource& b) {
    load(shared, 0, steps, a, b);
    load(shared, 1, steps, a, b);
    for (int step = 0; step < steps; ++step) {
      cp_async_wait<1>();
      __syncthreads();
      const Stored* const at = reinterpret_cast<Stored*>(shared) + step % 2 * stage;
      sums_.add(at, at + A::elements, first_row(), first_column());
      __syncthreads();
      load(shared, step + 2, steps, a, b);
    }
  }

  template <class Store>
  __device__ __forceinline__ void each_pair(const Store& store) const {
    sums_.each_pair(first_row(), first_column(), store);
  }

 private:
  // One group of copies per step, empty behind the last.
  template <class ASource, class BSource>
  static __device__ __forceinline__ void load(unsigned char* shared, int step, int steps, const ASource& a,
                                              const BSource& b) {
    if (step < steps) {
      Stored* const at = reinterpret_cast<Stored*>(shared) + step % 2 * stage;
      load_tile<A, threads>(at, a, step);
      load_tile<B, threads>(at + A::elements, b, step);
    }
    cp_async_commit();
  }

  static __device__ __forceinline__ int first_row() { return threadIdx.x / 32 / warps_across * m_tiles * 16; }
  static __device__ __forceinline__ int first_column() { return threadIdx.x / 32 % warps_across * n_tiles * 8; }

  Accumulators<E, A, B, m_tiles, n_tiles> sums_;
};

}  // namespace gica::cuda
