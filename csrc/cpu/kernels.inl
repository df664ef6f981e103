// Everything an instruction set needs, compiled once per set: the including file names it and says how wide its vectors
// are. All of it has internal linkage, so that no copy can stand in for another set's.

#include "backward.h"
#include "forward.h"
#include "product.h"
#include "windows.h"

namespace gica::cpu {
namespace {

Status run_match(const MatchParams& params, const ParallelFor& loop) {
  return params.in.dtype == Dtype::float64 ? match<double>(params, loop) : match<float>(params, loop);
}

Status run_forward(const ForwardParams& given, const ParallelFor& loop) {
  ForwardParams params = given;
  if (params.offsets && !(params.in.options.softmax_scale > 0)) {
    // Scaled like this, the scores have lost their order: the best match is found before.
    const Status status = run_match({params.in, params.offsets, params.row_max}, loop);
    if (status != Status::ok) return status;
    params.offsets = nullptr;
  }
  if (params.in.dtype == Dtype::float64) return Forward<double>(params, loop).run();
  return Forward<float>(params, loop).run();
}

Status run_backward(const BackwardParams& params, const ParallelFor& loop) {
  if (params.in.dtype == Dtype::float64) return Backward<double>(params, loop).run();
  return Backward<float>(params, loop).run();
}

Status run_product(Dtype dtype, int64_t m, int64_t n, int64_t k, const void* a, const void* b, bool transposed, void* c,
                   const ParallelFor& loop) {
  switch (dtype) {
    case Dtype::float32:
      return product(m, n, k, static_cast<const float*>(a), static_cast<const float*>(b), transposed,
                     static_cast<float*>(c), loop);
    case Dtype::float64:
      return product(m, n, k, static_cast<const double*>(a), static_cast<const double*>(b), transposed,
                     static_cast<double*>(c), loop);
    default: return Status::unsupported;
  }
}

}  // namespace

extern const Kernels GICA_KERNELS;
const Kernels GICA_KERNELS = {GICA_NAME, run_forward, run_backward, run_match, window_costs, run_product};

}  // namespace gica::cpu
