// Chooses the instruction set at run time.
#include <cstring>

#include "gica/kernels.h"

namespace gica::cpu {

extern const Kernels kernels_baseline;
#if defined(__x86_64__)
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif

namespace {

bool runs(const Kernels& kernels) {
#if defined(__x86_64__)
  if (&kernels == &kernels_avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  if (&kernels == &kernels_avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return &kernels == &kernels_baseline;
}

const Kernels* const kBestFirst[] = {
#if defined(__x86_64__)
    &kernels_avx512,
    &kernels_avx2,
#endif
    &kernels_baseline,
};

}  // namespace

const Kernels* best_kernels() {
  for (const Kernels* kernels : kBestFirst)
    if (runs(*kernels)) return kernels;
  return nullptr;
}

const Kernels* kernels_named(const char* name) {
  for (const Kernels* kernels : kBestFirst)
    if (std::strcmp(kernels->name, name) == 0 && runs(*kernels)) return kernels;
  return nullptr;
}

}  // namespace gica::cpu
