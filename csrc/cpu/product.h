// The matrix product by itself, for tests and benchmarks.
#pragma once

#include "buffer.h"
#include "gemm.h"

#include "gica/kernels.h"

namespace gica::cpu {
namespace {

template <class T>
Status product(int64_t m, int64_t n, int64_t k, const T* a, const T* b, bool transposed, T* c,
               const ParallelFor& loop) {
  // A block of columns is packed once for a run of rows. Where a block ends in part of a vector its result goes through
  // scratch, whose rows have room for whole ones.
  constexpr int64_t kRows = 512;
  constexpr int64_t kColumns = 4 * kPanel<T>;
  const int64_t down = ceil_div(m, kRows), across = ceil_div(n, kColumns);
  WorkerBuffer<T> packed(loop.workers, kDepth * kColumns), result(loop.workers, kRows * kColumns);
  if (!packed || !result) return Status::out_of_memory;
  parallel(loop, down * across, [&](int64_t task, int worker) {
    const int64_t row = task % down * kRows, column = task / down * kColumns;
    const int64_t rows = smaller(kRows, m - row), columns = smaller(kColumns, n - column);
    const bool whole = columns % kLanes<T> == 0;
    T* out = whole ? c + row * n + column : result.of(worker);
    const int64_t stride = whole ? n : kColumns;
    for (int64_t i = 0; i < k; i += kDepth) {
      const int64_t depth = smaller(kDepth, k - i);
      if (transposed)
        pack_columns(depth, columns, b + column * k + i, k, packed.of(worker));
      else
        pack_rows(depth, columns, b + i * n + column, n, packed.of(worker), 0, columns);
      multiply(i > 0, rows, columns, depth, a + row * k + i, k, 1, packed.of(worker), out, stride);
    }
    for (int64_t r = 0; !whole && r < rows; ++r) {
      T* to = c + (row + r) * n + column;
      for (int64_t x = 0; x < columns; ++x) to[x] = out[r * kColumns + x];
    }
  });
  return Status::ok;
}

}  // namespace
}  // namespace gica::cpu
