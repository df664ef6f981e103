// The scores of a strip in three steps that serve every size of patch and propagation: Gram products, patch scores,
// propagated scores. Rows are slots (slots.h), columns all background positions.
#pragma once

#include "common/product.h"
#include "common/samples.h"
#include "common/slots.h"

namespace gica::cuda {

// positions[slot]: the flat position of a Gram slot, -1 outside the map. They are those of every sample.
static __global__ void list_slots(Slots slots, int size, int* positions) {
  const int slot = blockIdx.x * blockDim.x + threadIdx.x;
  if (slot >= slots.gram_slots()) return;
  const int p = slots.gram_position(slot);
  positions[slot] = p >= 0 && p < size ? p : -1;
}

template <class E>
using GramProduct = Product<E, 2, 2, 2, 8, Lines::along_depth, Lines::along_depth>;

// gram[slot][q] = <f(slot's position), b(q)>, 0 where the position lies outside the map.
template <class E>
__global__ __launch_bounds__(GramProduct<E>::threads) void gram_products(const typename E::Stored* f,
                                                                         const typename E::Stored* b, Shape s,
                                                                         const int* positions, int count, float* gram) {
  using G = GramProduct<E>;
  using Stored = typename E::Stored;
  GICA_DYNAMIC_SHARED(shared);
  f = of_sample(f, s), b = of_sample(b, s), gram = of_sample(gram, s);
  const int first = blockIdx.y * G::rows, q0 = blockIdx.x * G::columns;
  const auto row_of_f = [&](int step, int line, int column) -> CopySource<Stored> {
    const int c = step * kDepth<E> + column, p = first + line < count ? positions[first + line] : -1;
    return {f + static_cast<ptrdiff_t>(p) * s.depth + c, p >= 0 && c < s.depth};
  };
  const auto row_of_b = [&](int step, int line, int column) -> CopySource<Stored> {
    const int c = step * kDepth<E> + column, q = q0 + line;
    return {b + static_cast<size_t>(q) * s.depth + c, q < s.Q && c < s.depth};
  };
  G product;
  product.multiply(shared, (s.depth + kDepth<E> - 1) / kDepth<E>, row_of_f, row_of_b);
  product.each_pair([&](int row, int column, float x, float y) {
    const int q = q0 + column;
    if (first + row >= count || q >= s.row_stride) return;
    float* out = gram + static_cast<size_t>(first + row) * s.row_stride + q;
    *reinterpret_cast<float2*>(out) = make_float2(x, y);
  });
}

// scores[slot][q] = reciprocal norm * the sum of the Gram products under both patches, 0 outside either map.
static __global__ void patch_scores(const float* gram, const float* reciprocal_norm, Shape s, Slots slots,
                                    float* scores) {
  gram = of_sample(gram, s), reciprocal_norm = of_sample(reciprocal_norm, s), scores = of_sample(scores, s);
  const int blocks = (s.Q + blockDim.x - 1) / blockDim.x;
  const int slot = blockIdx.x / blocks, q = blockIdx.x % blocks * blockDim.x + threadIdx.x;
  if (q >= s.Q) return;
  const int group = slot / slots.score_width(), i = slot % slots.score_width();
  const int p = slots.score_group(group).base + i - s.fuse_radius;
  float total = 0;
  if (p >= 0 && p < s.P) {
    const int x = p % s.wf, u = q % s.wb;
    const int left = -min(s.box_radius, min(x, u)), right = min(s.box_radius, min(s.wf - 1 - x, s.wb - 1 - u));
    for (int dy = -s.box_radius; dy <= s.box_radius; ++dy) {
      const int below = q + dy * s.wb;
      const float* row =
          gram + (static_cast<size_t>(slots.gram_of(group, dy)) * slots.gram_width() + i + s.box_radius) * s.row_stride;
      for (int dx = left; dx <= right; ++dx)
        if (below + dx >= 0 && below + dx < s.Q) total += row[static_cast<ptrdiff_t>(dx) * s.row_stride + below + dx];
    }
    total *= reciprocal_norm[q];
  }
  scores[static_cast<size_t>(slot) * s.row_stride + q] = total;
}

// propagated[row][q]: sums along the flat positions, row-major within each score, column-major between groups.
static __global__ void propagate_scores(const float* scores, Shape s, Slots slots, float* propagated) {
  scores = of_sample(scores, s), propagated = of_sample(propagated, s);
  const int blocks = (s.Q + blockDim.x - 1) / blockDim.x;
  const int row = blockIdx.x / blocks, q = blockIdx.x % blocks * blockDim.x + threadIdx.x;
  if (q >= s.Q) return;
  const int y = row / slots.strip.width(), x = row % slots.strip.width();
  float total = 0;
  for (int e = -s.fuse_radius; e <= s.fuse_radius; ++e) {
    const int group = y + s.fuse_radius + e;
    const Group at = slots.score_group(group);
    const int column = slots.strip.x0 + x + at.shift;
    const int from = step_down(q, e, s.hb, s.wb);
    if (column < 0 || column >= s.wf || from < 0) continue;
    const int p = at.base + x;
    const float* first =
        scores + (static_cast<size_t>(group) * slots.score_width() + x + s.fuse_radius) * s.row_stride + from;
    float along = 0;
    for (int d = -s.fuse_radius; d <= s.fuse_radius; ++d)
      if (p + d >= 0 && p + d < s.P && from + d >= 0 && from + d < s.Q)
        along += first[static_cast<ptrdiff_t>(d) * s.row_stride + d];
    total += along;
  }
  propagated[static_cast<size_t>(row) * s.row_stride + q] = total;
}

}  // namespace gica::cuda
