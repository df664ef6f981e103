#include "entries.h"
#include "forward.h"

namespace gica::cuda {

Outcome forward_tf32(const ForwardParams& params, const Call& call, int64_t* scratch) {
  return run_or_measure<Forward<float, Tf32>>(params, call, scratch);
}

Outcome match_tf32(const MatchParams& params, const Call& call, int64_t* scratch) {
  return run_or_measure<Match<float, Tf32>>(params, call, scratch);
}

}  // namespace gica::cuda
