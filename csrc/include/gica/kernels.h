// The entry points of the CPU kernels.
#pragma once

#include "gica/parallel.h"
#include "gica/params.h"

namespace gica::cpu {

// What one instruction set offers. Every table computes the same thing.
struct Kernels {
  const char* name;
  Status (*forward)(const ForwardParams&, const ParallelFor&);
  Status (*backward)(const BackwardParams&, const ParallelFor&);
  Status (*match)(const MatchParams&, const ParallelFor&);
  Status (*window_costs)(const WindowParams&, const ParallelFor&);
  // c[m x n] = a[m x k] b, all row-major and dense; b is (n x k) when transposed: the library's matrix product by
  // itself, for tests and benchmarks. float32 or float64.
  Status (*product)(Dtype, int64_t m, int64_t n, int64_t k, const void* a, const void* b, bool transposed, void* c,
                    const ParallelFor&);
};

// The best table this processor can run, or the one named by `name` ("avx512", "avx2", "baseline"); null where it
// cannot run.
const Kernels* best_kernels();
const Kernels* kernels_named(const char* name);

}  // namespace gica::cpu
