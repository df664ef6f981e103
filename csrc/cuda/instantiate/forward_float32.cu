#include "entries.h"
#include "forward.h"

namespace gica::cuda {

Outcome forward_float32(const ForwardParams& params, const Call& call, int64_t* scratch) {
  return run_or_measure<Forward<float, Float32>>(params, call, scratch);
}

Outcome match_float32(const MatchParams& params, const Call& call, int64_t* scratch) {
  return run_or_measure<Match<float, Float32>>(params, call, scratch);
}

}  // namespace gica::cuda
