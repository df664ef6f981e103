#include "backward.h"
#include "entries.h"

namespace gica::cuda {

Outcome backward_tf32(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call,
                      int64_t* scratch) {
  return run_or_measure_backward<float, Tf32>(params, row_max, row_sum, call, scratch);
}

// Gradients of half precision may be smaller than half precision holds: they are kept in float32 and multiplied as
// TF32, whose mantissa is that of half precision. Here, since most of its kernels are those above.
Outcome backward_float16(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call,
                         int64_t* scratch) {
  return run_or_measure_backward<__half, Tf32>(params, row_max, row_sum, call, scratch);
}

}  // namespace gica::cuda
