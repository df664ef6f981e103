// From a problem to the kernels that take it.
#include "entries.h"

#include "gica/geometry.h"

namespace gica::cuda {

const char* refusal(const Inputs& in, const Device& device) {
  if (device.major < 8) return "the CUDA kernels need a GPU of compute capability 8.0 or newer";
  if (in.dtype == Dtype::float64) return "the CUDA kernels take float32, bfloat16 and float16, not float64";
  const Geometry size(in);
  // Scores of the smallest strip, a few tiles against all of the background, are counted in 32 bits, and a launch has
  // at most 65535 rows of blocks.
  constexpr int64_t most = int64_t{1} << 30;
  if (size.P >= most || size.Q >= most >> 9 || in.values.height * in.values.width >= most)
    return "the CUDA kernels take backgrounds of fewer than 2^21 positions";
  if (size.columns >= most / 64) return "the CUDA kernels take fewer values under one position";
  return nullptr;
}

namespace {

template <class Function>
struct ByArithmetic {
  Function *float32, *tf32, *bfloat16, *float16;

  Function& of(Dtype dtype, const Call& call) const {
    if (dtype == Dtype::bfloat16) return *bfloat16;
    if (dtype == Dtype::float16) return *float16;
    return call.allow_tf32 ? *tf32 : *float32;
  }
};

constexpr ByArithmetic<Outcome(const ForwardParams&, const Call&, int64_t*)> kForward = {
    forward_float32, forward_tf32, forward_bfloat16, forward_float16};
constexpr ByArithmetic<Outcome(const MatchParams&, const Call&, int64_t*)> kMatch = {match_float32, match_tf32,
                                                                                     match_bfloat16, match_float16};
constexpr ByArithmetic<Outcome(const BackwardParams&, const float*, const float*, const Call&, int64_t*)> kBackward = {
    backward_float32, backward_tf32, backward_bfloat16, backward_float16};

}  // namespace

int64_t forward_scratch(const ForwardParams& params, const Call& call) {
  int64_t bytes = 0;
  kForward.of(params.in.dtype, call)(params, call, &bytes);
  return bytes;
}
int64_t match_scratch(const MatchParams& params, const Call& call) {
  int64_t bytes = 0;
  kMatch.of(params.in.dtype, call)(params, call, &bytes);
  return bytes;
}
int64_t backward_scratch(const BackwardParams& params, const Call& call) {
  int64_t bytes = 0;
  kBackward.of(params.in.dtype, call)(params, nullptr, nullptr, call, &bytes);
  return bytes;
}

Outcome forward(const ForwardParams& params, const Call& call) {
  return kForward.of(params.in.dtype, call)(params, call, nullptr);
}
Outcome match(const MatchParams& params, const Call& call) {
  return kMatch.of(params.in.dtype, call)(params, call, nullptr);
}
Outcome backward(const BackwardParams& params, const float* row_max, const float* row_sum, const Call& call) {
  return kBackward.of(params.in.dtype, call)(params, row_max, row_sum, call, nullptr);
}

}  // namespace gica::cuda
