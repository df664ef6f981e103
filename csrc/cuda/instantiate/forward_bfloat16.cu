#include "entries.h"
#include "forward.h"

namespace gica::cuda {

Outcome forward_bfloat16(const ForwardParams& params, const Call& call, int64_t* scratch) {
  return run_or_measure<Forward<__nv_bfloat16, BFloat16>>(params, call, scratch);
}

Outcome match_bfloat16(const MatchParams& params, const Call& call, int64_t* scratch) {
  return run_or_measure<Match<__nv_bfloat16, BFloat16>>(params, call, scratch);
}

}  // namespace gica::cuda
