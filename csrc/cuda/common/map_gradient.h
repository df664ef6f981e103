// From the gradient of the Gram products to those of the reduced maps, and on to the images.
#pragma once

#include "common/prepare.h"
#include "common/product.h"
#include "common/slots.h"

namespace gica::cuda {

template <class E>
using ForegroundProduct = Product<E, 2, 2, 2, 8, Lines::along_depth, Lines::across_depth>;
template <class E>
using BackgroundProduct = Product<E, 2, 2, 2, 8, Lines::across_depth, Lines::across_depth>;

// partial[split][slot][depth] = gradient times b, over one part of the background.
template <class E>
__global__ __launch_bounds__(ForegroundProduct<E>::threads) void foreground_gradients(const typename E::Stored* grams,
                                                                                      const typename E::Stored* b,
                                                                                      int slots, Shape s, int splits,
                                                                                      float* partial) {
  using G = ForegroundProduct<E>;
  using Stored = typename E::Stored;
  GICA_DYNAMIC_SHARED(shared);
  grams = of_sample(grams, s), b = of_sample(b, s), partial = of_sample(partial, s);
  const int tile = blockIdx.y / splits, split = blockIdx.y % splits;
  const int first = tile * G::rows, column0 = blockIdx.x * G::columns;
  const int all = (s.Q + kDepth<E> - 1) / kDepth<E>;
  const int begin = static_cast<int>(static_cast<int64_t>(all) * split / splits);
  const int end = static_cast<int>(static_cast<int64_t>(all) * (split + 1) / splits);
  const auto row_of_gradient = [&](int step, int line, int column) -> CopySource<Stored> {
    const int q = (begin + step) * kDepth<E> + column;
    return {grams + static_cast<size_t>(first + line) * s.row_stride + q, first + line < slots && q < s.row_stride};
  };
  const auto row_of_b = [&](int step, int line, int column) -> CopySource<Stored> {
    const int q = (begin + step) * kDepth<E> + line, c = column0 + column;
    return {b + static_cast<size_t>(q) * s.depth + c, q < s.Q && c < s.depth};
  };
  G product;
  product.multiply(shared, end - begin, row_of_gradient, row_of_b);
  product.each_pair([&](int row, int column, float x, float y) {
    if (first + row >= slots || column0 + column >= s.depth) return;
    float* out = partial + (static_cast<size_t>(split) * slots + first + row) * s.depth + column0 + column;
    *reinterpret_cast<float2*>(out) = make_float2(x, y);
  });
}

// gradient[p][depth] += what all slots at p hold, in a fixed order: a position may have several.
static __global__ void add_foreground_gradients(const float* partial, Slots slots, int splits, Shape s,
                                                float* gradient) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= static_cast<int64_t>(s.P) * s.depth) return;
  partial = of_sample(partial, s);
  const int p = static_cast<int>(index / s.depth), c = static_cast<int>(index % s.depth);
  const int count = slots.gram_slots();
  float total = 0;
  for (int group = 0; group < slots.gram_groups(); ++group) {
    const int i = p - slots.gram_group(group).base + s.halo;
    if (i < 0 || i >= slots.gram_width()) continue;
    const size_t slot = static_cast<size_t>(group) * slots.gram_width() + i;
    for (int split = 0; split < splits; ++split)
      total += partial[(static_cast<size_t>(split) * count + slot) * s.depth + c];
  }
  of_sample(gradient, s)[index] += total;
}

// gradient[q][depth] += gradient^T times f.
template <class E>
__global__ __launch_bounds__(BackgroundProduct<E>::threads) void add_background_gradients(
    const typename E::Stored* grams, const typename E::Stored* f, const int* positions, int slots, Shape s,
    float* gradient) {
  using G = BackgroundProduct<E>;
  using Stored = typename E::Stored;
  GICA_DYNAMIC_SHARED(shared);
  grams = of_sample(grams, s), f = of_sample(f, s), gradient = of_sample(gradient, s);
  const int q0 = blockIdx.y * G::rows, column0 = blockIdx.x * G::columns;
  const auto row_of_gradient = [&](int step, int line, int column) -> CopySource<Stored> {
    const int slot = step * kDepth<E> + line, q = q0 + column;
    return {grams + static_cast<size_t>(slot) * s.row_stride + q, slot < slots && q < s.row_stride};
  };
  const auto row_of_f = [&](int step, int line, int column) -> CopySource<Stored> {
    const int slot = step * kDepth<E> + line, c = column0 + column, p = slot < slots ? positions[slot] : -1;
    return {f + static_cast<ptrdiff_t>(p) * s.depth + c, p >= 0 && c < s.depth};
  };
  G product;
  product.multiply(shared, (slots + kDepth<E> - 1) / kDepth<E>, row_of_gradient, row_of_f);
  product.each_pair([&](int row, int column, float x, float y) {
    if (q0 + row >= s.Q || column0 + column >= s.depth) return;
    float* out = gradient + static_cast<size_t>(q0 + row) * s.depth + column0 + column;
    out[0] += x, out[1] += y;
  });
}

// What reaches b through its norms: score = t / norm, so the norm's gradient is -score / norm, and the norm's own by an
// element of the patch is element / norm. A norm that was clamped passes nothing on.
template <class E>
__global__ void add_norm_to_background(const float* norm_gradient, const float* reciprocal_norm,
                                       const typename E::Stored* b, Shape s, float* gradient) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= static_cast<int64_t>(s.Q) * s.depth) return;
  norm_gradient = of_sample(norm_gradient, s), reciprocal_norm = of_sample(reciprocal_norm, s);
  const int q = static_cast<int>(index / s.depth), y = q / s.wb, x = q % s.wb;
  float weight = 0;
  for (int i = max(y - s.box_radius, 0); i <= min(y + s.box_radius, s.hb - 1); ++i)
    for (int j = max(x - s.box_radius, 0); j <= min(x + s.box_radius, s.wb - 1); ++j) {
      const float reciprocal = reciprocal_norm[i * s.wb + j];
      if (reciprocal != 1e4f) weight -= norm_gradient[i * s.wb + j] * reciprocal;
    }
  of_sample(gradient, s)[index] += weight * to_float(of_sample(b, s)[index]);
}

// picks[i] for every row (or column) of an image: the position of the reduced map that took its pixel there, or -1. The
// same for every sample.
static __global__ void invert_picks(int size, int reduced, Semantics semantics, int* picks) {
  for (int i = threadIdx.x; i < size; i += blockDim.x) picks[i] = -1;
  __syncthreads();
  for (int i = threadIdx.x; i < reduced; i += blockDim.x) picks[reduced_index(i, size, reduced, semantics)] = i;
}

struct MapGradient {
  const float* values;  // [position][depth]; null: none
  const int *rows, *columns;
  int width, depth;
};
struct PixelGradient {
  const float* values;  // [tile][64][columns]; null: none
  TileTable tiles;
};

// One pixel of an image's gradient: what its position of the reduced map got, and what was pasted from it.
template <class T>
__global__ void write_gradient(Image image, int n, Shape s, MapGradient map, PixelGradient pasted) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= image.channels * image.height * image.width) return;
  const int x = static_cast<int>(index % image.width), y = static_cast<int>(index / image.width % image.height);
  const int c = static_cast<int>(index / (image.width * image.height));
  float total = 0;
  n = number_of_sample(n);
  if (map.values && map.rows[y] >= 0 && map.columns[x] >= 0)
    total += of_sample(map.values, s)[static_cast<size_t>(map.rows[y] * map.width + map.columns[x]) * map.depth + c];
  if (pasted.values) {
    const int i = (y + s.before) / s.phases, j = (x + s.before) / s.phases;
    const int phase = (y + s.before) % s.phases * s.phases + (x + s.before) % s.phases;
    total += of_sample(pasted.values,
                       s)[static_cast<size_t>(pasted.tiles.find(i, j)) * s.columns + phase * s.value_depth + c];
  }
  set_pixel<T>(image, n, c, y, x, total);
}

}  // namespace gica::cuda
