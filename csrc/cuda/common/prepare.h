// What is made of the inputs once per sample: reduced maps, norms, masks, and pixels in the order of the paste product.
// `n` is the number of the launch's first sample.
#pragma once

#include "common/element.h"
#include "common/launch.h"
#include "common/samples.h"
#include "common/tiles.h"

namespace gica::cuda {

template <class T>
__device__ __forceinline__ float pixel(const Image& image, int n, int c, int y, int x) {
  return to_float(static_cast<const T*>(
      image.data)[n * image.stride[0] + c * image.stride[1] + y * image.stride[2] + x * image.stride[3]]);
}
template <class T>
__device__ __forceinline__ void set_pixel(const Image& image, int n, int c, int y, int x, float value) {
  static_cast<T*>(image.data)[n * image.stride[0] + c * image.stride[1] + y * image.stride[2] + x * image.stride[3]] =
      FromFloat<T>::convert(value);
}
__device__ __forceinline__ bool masked(const Mask& mask, int n, int y, int x) {
  return mask.data[n * mask.batch_stride + y * mask.row_stride + x * mask.column_stride] != 0;
}

// reduced[position][depth]: 32 positions by 32 channels at a time, turned in shared memory, since images are read along
// their rows and the result is written along its channels.
template <class T, class E>
__global__ void reduce_map(Image image, int n, int height, int width, Shape s, typename E::Stored* reduced) {
  __shared__ float tile[32][33];
  n = number_of_sample(n), reduced = of_sample(reduced, s);
  const int positions = height * width, p0 = blockIdx.x * 32, c0 = blockIdx.y * 32;
  const int lane = threadIdx.x % 32, line = threadIdx.x / 32, lines = blockDim.x / 32;
  const int p = p0 + lane;
  for (int c = line; c < 32; c += lines) {
    float value = 0;
    if (p < positions && c0 + c < image.channels)
      value = pixel<T>(image, n, c0 + c, reduced_index(p / width, image.height, height, s.semantics),
                       reduced_index(p % width, image.width, width, s.semantics));
    tile[c][lane] = value;
  }
  __syncthreads();
  for (int i = line; i < 32; i += lines)
    if (p0 + i < positions && c0 + lane < s.depth)
      reduced[static_cast<size_t>(p0 + i) * s.depth + c0 + lane] = E::store(tile[lane][i]);
}

// energy[q] = squared length of a pixel of b, from the image, so that nothing is rounded before it is squared. One
// rounding of a norm moves every score of its column by as many digits as the score has before the point, so norms are
// summed in double and rounded once. What norms_and_validity counts begins at 0.
template <class T>
__global__ void pixel_energy(Image b, int n, Shape s, double* energy, int* invalid_count) {
  n = number_of_sample(n), energy = of_sample(energy, s);
  const int q = blockIdx.x * blockDim.x + threadIdx.x;
  if (q == 0) *of_sample(invalid_count, s) = 0;
  if (q >= s.Q) return;
  const int y = reduced_index(q / s.wb, b.height, s.hb, s.semantics);
  const int x = reduced_index(q % s.wb, b.width, s.wb, s.semantics);
  double total = 0;
  for (int c = 0; c < s.channels; ++c) {
    const double value = pixel<T>(b, n, c, y, x);
    total += value * value;
  }
  energy[q] = total;
}

// reciprocal_norm[q] = 1 / max(|patch|, 1e-4); valid[q]: no pixel of the patch lies in the hole. Counts the others.
static __global__ void norms_and_validity(const double* energy, Mask hole, Image b, int n, Shape s,
                                          float* reciprocal_norm, uint8_t* valid, int* invalid_count) {
  n = number_of_sample(n), energy = of_sample(energy, s);
  reciprocal_norm = of_sample(reciprocal_norm, s), valid = of_sample(valid, s);
  const int q = blockIdx.x * blockDim.x + threadIdx.x;
  if (q >= s.Q) return;
  const int y = q / s.wb, x = q % s.wb;
  double total = 0;
  bool known = true;
  for (int i = max(y - s.box_radius, 0); i <= min(y + s.box_radius, s.hb - 1); ++i)
    for (int j = max(x - s.box_radius, 0); j <= min(x + s.box_radius, s.wb - 1); ++j) {
      total += energy[i * s.wb + j];
      if (hole.data)
        known &= !masked(hole, n, reduced_index(i, b.height, s.hb, s.semantics),
                         reduced_index(j, b.width, s.wb, s.semantics));
    }
  reciprocal_norm[q] = total <= 1e-8 ? 1e4f : static_cast<float>(1 / sqrt(total));
  valid[q] = known;
  if (!known) atomicAdd(of_sample(invalid_count, s), 1);
}

// wanted[p]: the attention of this position reaches an output pixel that is asked for.
static __global__ void find_wanted(Mask query, int n, Shape s, uint8_t* wanted) {
  n = number_of_sample(n), wanted = of_sample(wanted, s);
  const int p = blockIdx.x * blockDim.x + threadIdx.x;
  if (p >= s.P) return;
  bool any = !query.data;
  if (!any) {
    // Its two patches per axis, in pixels of the query.
    const int y0 = p / s.wf * s.rate - s.rate / 2, x0 = p % s.wf * s.rate - s.rate / 2;
    for (int y = max(y0, 0); y < min(y0 + 2 * s.rate, s.hf * s.rate); ++y)
      for (int x = max(x0, 0); x < min(x0 + 2 * s.rate, s.wf * s.rate); ++x) any |= masked(query, n, y, x);
  }
  wanted[p] = any;
}

// The pixels of an image in the order of the paste product: pixels[tile][slot][phase * value_depth + channel], 0 where
// there is no pixel. A gradient of the output takes the share that one patch has in a pixel, and is 0 where the pixel
// is not asked for.
struct PhaseOptions {
  bool gradient;
  int query_scale;  // pixels of the image per pixel of the query
};
template <class T, class E>
__global__ void phase_pixels(Image image, int n, TileTable tiles, Shape s, PhaseOptions options, Mask query,
                             typename E::Stored* pixels) {
  n = number_of_sample(n);
  const int tile = blockIdx.x / kTileSize, slot = blockIdx.x % kTileSize;
  GridPosition at;
  const bool exists = tiles.position(tile, slot, &at);
  typename E::Stored* out = of_sample(pixels, s) + static_cast<size_t>(blockIdx.x) * s.columns;
  for (int column = threadIdx.x; column < s.columns; column += blockDim.x) {
    const int phase = column / s.value_depth, c = column % s.value_depth;
    float value = 0;
    if (exists && phase < s.phases * s.phases && c < s.value_channels) {
      const int y = s.phases * at.i - s.before + phase / s.phases, x = s.phases * at.j - s.before + phase % s.phases;
      if (y >= 0 && y < image.height && x >= 0 && x < image.width) {
        value = pixel<T>(image, n, c, y, x);
        if (options.gradient) {
          value *= s.share(at.i, at.j);
          if (query.data && !masked(query, n, y / options.query_scale, x / options.query_scale)) value = 0;
        }
      }
    }
    out[column] = E::store(value);
  }
}

}  // namespace gica::cuda
