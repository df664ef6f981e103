#include "sm90/walk.h"

namespace gica::cuda {

bool walk_sm90_takes(BFloat16, const Shape& s, const Device& device) {
  return warpgroup_walk_takes<BFloat16>(s, device);
}

Outcome walk_sm90(const WalkArguments<BFloat16>& a, Walked walked, const Shape& s, const Rect& strip, int samples,
                  void* stream) {
  return launch_warpgroup_walk(a, walked, s, strip, samples, stream);
}

}  // namespace gica::cuda
