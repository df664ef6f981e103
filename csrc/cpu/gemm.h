// The matrix product of the layer: C (+)= A B, register-tiled. A is read where it lies (any strides); B is packed into
// panels of kPanel columns, [k][columns], the last panel only as many whole vectors wide as it needs. C rows must have
// room for whole vectors.
#pragma once

#include "simd.h"

#include "gica/geometry.h"

namespace gica::cpu {
namespace {

constexpr int kTileRows = 6;
constexpr int kTileVectors = GICA_VECTOR_BYTES == 64 ? 4 : 2;
template <class T>
constexpr int64_t kPanel = kTileVectors * kLanes<T>;
constexpr int64_t kDepth = 256;  // k is cut so that a panel stays near the registers

// Columns of B as stored: whole vectors.
template <class T>
inline int64_t padded(int64_t columns) {
  return round_up(columns, kLanes<T>);
}

template <class T, int R, int V, bool Add>
void multiply_tile(int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b, T* c, int64_t c_row) {
  Vector<T> sum[R][V] = {};
  for (int64_t i = 0; i < k; ++i, a += a_column, b += V * kLanes<T>) {
    Vector<T> right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) right[v] = load(b + v * kLanes<T>);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const T left = a[r * a_row];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] += left * right[v];
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      T* p = c + r * c_row + v * kLanes<T>;
      store(p, Add ? load(p) + sum[r][v] : sum[r][v]);
    }
}

template <class T, int V, bool Add>
void multiply_panel(int64_t m, int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b, T* c,
                    int64_t c_row) {
  const int64_t tiles = ceil_div(m, kTileRows);
  for (int64_t tile = 0, row = 0; tile < tiles; ++tile) {
    const int rows = static_cast<int>((m - row) / (tiles - tile));  // tiles of nearly equal height
    const T* left = a + row * a_row;
    T* out = c + row * c_row;
    switch (rows) {
      case 1: multiply_tile<T, 1, V, Add>(k, left, a_row, a_column, b, out, c_row); break;
      case 2: multiply_tile<T, 2, V, Add>(k, left, a_row, a_column, b, out, c_row); break;
      case 3: multiply_tile<T, 3, V, Add>(k, left, a_row, a_column, b, out, c_row); break;
      case 4: multiply_tile<T, 4, V, Add>(k, left, a_row, a_column, b, out, c_row); break;
      case 5: multiply_tile<T, 5, V, Add>(k, left, a_row, a_column, b, out, c_row); break;
      default: multiply_tile<T, 6, V, Add>(k, left, a_row, a_column, b, out, c_row); break;
    }
    row += rows;
  }
}

// C[m x n] (+)= A[m x k] B, A(i, l) = a[i * a_row + l * a_column], B as pack_rows or pack_columns leave it.
template <class T, bool Add>
void multiply(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b, T* c,
              int64_t c_row) {
  if (m <= 0) return;
  for (int64_t column = 0; column < n; column += kPanel<T>) {
    const T* panel = b + column * k;
    T* out = c + column;
    switch (ceil_div(smaller(n - column, kPanel<T>), kLanes<T>)) {
      case 1: multiply_panel<T, 1, Add>(m, k, a, a_row, a_column, panel, out, c_row); break;
      case 2: multiply_panel<T, 2, Add>(m, k, a, a_row, a_column, panel, out, c_row); break;
      case 3:
        if constexpr (kTileVectors == 4) multiply_panel<T, 3, Add>(m, k, a, a_row, a_column, panel, out, c_row);
        break;
      default:
        if constexpr (kTileVectors == 4) multiply_panel<T, 4, Add>(m, k, a, a_row, a_column, panel, out, c_row);
        break;
    }
  }
}
template <class T>
void multiply(bool add, int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b, T* c,
              int64_t c_row) {
  if (add)
    multiply<T, true>(m, n, k, a, a_row, a_column, b, c, c_row);
  else
    multiply<T, false>(m, n, k, a, a_row, a_column, b, c, c_row);
}

// Where element (row, column) of a packed k-row B lies.
template <class T>
inline int64_t packed_index(int64_t row, int64_t column, int64_t k, int64_t n) {
  const int64_t panel = column / kPanel<T> * kPanel<T>;
  return panel * k + row * smaller(padded<T>(n) - panel, kPanel<T>) + column - panel;
}

// Packs b[k x n], rows b_row apart, of which columns [0, begin) and [end, n) are taken as 0 without being read.
template <class T>
void pack_rows(int64_t k, int64_t n, const T* b, int64_t b_row, T* packed, int64_t begin, int64_t end) {
  for (int64_t panel = 0; panel < n; panel += kPanel<T>) {
    const int64_t width = smaller(padded<T>(n) - panel, kPanel<T>);
    const int64_t first = larger<int64_t>(begin - panel, 0), last = smaller(end - panel, width);
    T* out = packed + panel * k;
    for (int64_t i = 0; i < k; ++i, out += width) {
      const T* in = b + i * b_row + panel;
      if (first == 0 && last == width) {
        for (int64_t j = 0; j < width; j += kLanes<T>) store(out + j, load(in + j));
      } else {
        for (int64_t j = 0; j < width; ++j) out[j] = j >= first && j < last ? in[j] : T(0);
      }
    }
  }
}
template <class T>
void pack_rows(int64_t k, int64_t n, const T* b, int64_t b_row, T* packed) {
  pack_rows<T>(k, n, b, b_row, packed, 0, n);
}

// Packs the transpose of b[n x k], rows b_row apart.
template <class T>
void pack_columns(int64_t k, int64_t n, const T* b, int64_t b_row, T* packed) {
  constexpr int64_t kBlock = 16;  // rows of b in flight: each line of b is read once
  for (int64_t panel = 0; panel < n; panel += kPanel<T>) {
    const int64_t width = smaller(padded<T>(n) - panel, kPanel<T>);
    T* out = packed + panel * k;
    for (int64_t j0 = 0; j0 < width; j0 += kBlock)
      for (int64_t i = 0; i < k; ++i)
        for (int64_t j = j0; j < smaller(j0 + kBlock, width); ++j)
          out[i * width + j] = panel + j < n ? b[(panel + j) * b_row + i] : T(0);
  }
}

}  // namespace
}  // namespace gica::cpu
