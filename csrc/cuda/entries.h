// One function per pass and arithmetic, each compiled in a file of its own (instantiate/). With `scratch` it only tells
// how many bytes it wants.
#pragma once

#include "gica/cuda.h"

namespace gica::cuda {

Outcome forward_float32(const ForwardParams& params, const Call& call, int64_t* scratch);
Outcome forward_tf32(const ForwardParams& params, const Call& call, int64_t* scratch);
Outcome forward_bfloat16(const ForwardParams& params, const Call& call, int64_t* scratch);
Outcome forward_float16(const ForwardParams& params, const Call& call, int64_t* scratch);

Outcome match_float32(const MatchParams& params, const Call& call, int64_t* scratch);
Outcome match_tf32(const MatchParams& params, const Call& call, int64_t* scratch);
Outcome match_bfloat16(const MatchParams& params, const Call& call, int64_t* scratch);
Outcome match_float16(const MatchParams& params, const Call& call, int64_t* scratch);

Outcome backward_float32(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call,
                         int64_t* scratch);
Outcome backward_tf32(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call,
                      int64_t* scratch);
Outcome backward_bfloat16(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call,
                          int64_t* scratch);
Outcome backward_float16(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call,
                         int64_t* scratch);

}  // namespace gica::cuda
