// From the gradient of the propagated scores back to that of the Gram products: the steps of scores.h transposed, each
// written as a sum over what an element went into.
#pragma once

#include "common/element.h"
#include "common/launch.h"
#include "common/samples.h"
#include "common/slots.h"

namespace gica::cuda {

// The kernels below share a block's threads out over positions of the background, and let each thread take a few
// neighbouring slots for its position: neighbours read what the first level of cache then holds.
constexpr int kSlotsTogether = 8;

// patches[score slot][q]: gradient of the patch product, before its norm divides it; from gradient[row of
// positions][q], that of the propagated scores.
static __global__ void patch_gradients(const float* gradient, Rect positions, const float* reciprocal_norm, Shape s,
                                       Slots slots, float* patches) {
  const int blocks = (s.Q + blockDim.x - 1) / blockDim.x;
  const int q = blockIdx.x % blocks * blockDim.x + threadIdx.x;
  if (q >= s.Q) return;
  gradient = of_sample(gradient, s), patches = of_sample(patches, s);
  const float norm = of_sample(reciprocal_norm, s)[q];
  const int first = static_cast<int>(blockIdx.x) / blocks * kSlotsTogether;
  for (int slot = first; slot < min(first + kSlotsTogether, slots.score_slots()); ++slot) {
    const int group = slot / slots.score_width(), i = slot % slots.score_width();
    const Group at = slots.score_group(group);
    const int p = at.base + i - s.fuse_radius;
    float total = 0;
    for (int e = -s.fuse_radius; e <= s.fuse_radius && p >= 0 && p < s.P; ++e) {
      const int y = group - s.fuse_radius - e;
      if (y < 0 || y >= slots.strip.height()) continue;
      for (int d = -s.fuse_radius; d <= s.fuse_radius; ++d) {
        const int x = i - s.fuse_radius - d, column = slots.strip.x0 + x + at.shift;
        if (x < 0 || x >= slots.strip.width() || column < 0 || column >= s.wf || q - d < 0 || q - d >= s.Q) continue;
        const int from = step_down(q - d, -e, s.hb, s.wb);
        const size_t row = positions.index(slots.strip.y0 + y, slots.strip.x0 + x);
        if (from >= 0) total += gradient[row * s.row_stride + from];
      }
    }
    patches[static_cast<size_t>(slot) * s.row_stride + q] = total * norm;
  }
}

constexpr int kNormParts = 32;

// partial[part][q] = sum over a part of the slots of gradient * score. The scores are those of a strip that holds this
// one.
static __global__ void norm_gradient_parts(const float* patches, Slots slots, const float* scores, Slots held, Shape s,
                                           float* partial) {
  const int q = blockIdx.x * blockDim.x + threadIdx.x, part = blockIdx.y;
  if (q >= s.Q) return;
  patches = of_sample(patches, s), scores = of_sample(scores, s);
  const int down = slots.strip.y0 - held.strip.y0, across = slots.strip.x0 - held.strip.x0;
  const int64_t all = slots.score_slots();
  float total = 0;
  for (int slot = static_cast<int>(all * part / kNormParts); slot < all * (part + 1) / kNormParts; ++slot) {
    const float gradient = patches[static_cast<size_t>(slot) * s.row_stride + q];
    // Scores that no gradient reaches need not have been computed.
    if (gradient == 0) continue;
    const int group = slot / slots.score_width() + down, i = slot % slots.score_width() + across;
    total += gradient * scores[(static_cast<size_t>(group) * held.score_width() + i) * s.row_stride + q];
  }
  of_sample(partial, s)[static_cast<size_t>(part) * s.Q + q] = total;
}

static __global__ void add_norm_gradients(const float* partial, Shape s, float* norm_gradient) {
  const int q = blockIdx.x * blockDim.x + threadIdx.x;
  if (q >= s.Q) return;
  partial = of_sample(partial, s), norm_gradient = of_sample(norm_gradient, s);
  float total = norm_gradient[q];
  for (int part = 0; part < kNormParts; ++part) total += partial[static_cast<size_t>(part) * s.Q + q];
  norm_gradient[q] = total;
}

// grams[Gram slot][q], up to the row's end, where it is 0.
template <class E>
__global__ void gram_gradients(const float* patches, Shape s, Slots slots, typename E::Stored* grams) {
  const int blocks = (s.row_stride + blockDim.x - 1) / blockDim.x;
  const int q = blockIdx.x % blocks * blockDim.x + threadIdx.x;
  if (q >= s.row_stride) return;
  patches = of_sample(patches, s), grams = of_sample(grams, s);
  const int v = q % s.wb, first = static_cast<int>(blockIdx.x) / blocks * kSlotsTogether;
  // Taps dx that stay in the background's row.
  const int left = q < s.Q ? max(-s.box_radius, v - (s.wb - 1)) : 1, right = min(s.box_radius, v);
  for (int slot = first; slot < min(first + kSlotsTogether, slots.gram_slots()); ++slot) {
    const int index = slot / slots.gram_width(), i = slot % slots.gram_width();
    const Slots::GramGroup at = slots.gram_group(index);
    const int p = at.base + i - s.halo, x = (p % s.wf + s.wf) % s.wf;
    const int begin = max(left, x - (s.wf - 1)), end = min(right, x);
    float total = 0;
    for (int dy = -s.box_radius; dy <= s.box_radius; ++dy) {
      const int group = index - s.box_radius * (2 * at.segment + 1) - dy;
      if (group < 0 || group >= slots.score_groups() || slots.segment(group) != at.segment) continue;
      for (int dx = begin; dx <= end; ++dx) {
        const int column = i - s.box_radius - dx, from = q - dy * s.wb - dx, above = p - dy * s.wf - dx;
        if (column < 0 || column >= slots.score_width() || above < 0 || above >= s.P || from < 0 || from >= s.Q)
          continue;
        total += patches[static_cast<size_t>(group * slots.score_width() + column) * s.row_stride + from];
      }
    }
    grams[static_cast<size_t>(slot) * s.row_stride + q] = E::store(total);
  }
}

}  // namespace gica::cuda
