#include "entries.h"
#include "forward.h"

namespace gica::cuda {

Outcome forward_float16(const ForwardParams& params, const Call& call, int64_t* scratch) {
  return run_or_measure<Forward<__half, Half>>(params, call, scratch);
}

Outcome match_float16(const MatchParams& params, const Call& call, int64_t* scratch) {
  return run_or_measure<Match<__half, Half>>(params, call, scratch);
}

}  // namespace gica::cuda
