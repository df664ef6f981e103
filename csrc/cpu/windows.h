// Costs of window pairs, for the exemplar filler's local search.
#pragma once

#include "buffer.h"

#include "gica/geometry.h"
#include "gica/params.h"

namespace gica::cpu {
namespace {

inline float window_cost(const WindowParams& params, int64_t target, int64_t source) {
  const int64_t radius = params.ksize / 2, channels = params.channels;
  float total = 0, share = 0;
  for (int64_t dy = -radius; dy <= radius; ++dy) {
    const int64_t t = target + dy * params.width - radius, s = source + dy * params.width - radius;
    const float *a = params.pixels + t * channels, *b = params.pixels + s * channels;
    for (int64_t x = 0; x < params.ksize; ++x, a += channels, b += channels) {
      float square = 0;
      for (int64_t c = 0; c < channels; ++c) square += (a[c] - b[c]) * (a[c] - b[c]);
      total += params.weight[t + x] * square;
      share += params.weight[t + x];
    }
  }
  return total / (share < 1e-6f ? 1e-6f : share);
}

inline Status window_costs(const WindowParams& params, const ParallelFor& loop) {
  constexpr int64_t kTogether = 512;
  parallel(loop, ceil_div(params.count, kTogether), [&](int64_t task, int) {
    const int64_t end = smaller(params.count, (task + 1) * kTogether);
    for (int64_t i = task * kTogether; i < end; ++i)
      params.costs[i] = window_cost(params, params.targets[i], params.sources[i]);
  });
  return Status::ok;
}

}  // namespace
}  // namespace gica::cpu
