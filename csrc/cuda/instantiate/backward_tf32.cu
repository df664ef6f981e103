#include "backward.h"
#include "entries.h"

namespace gica::cuda {

Outcome backward_tf32(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call,
                      int64_t* scratch) {
  return run_or_measure_backward<float, Tf32>(params, row_max, row_sum, call, scratch);
}

}  // namespace gica::cuda
