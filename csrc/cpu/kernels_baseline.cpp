#define GICA_KERNELS kernels_baseline
#define GICA_NAME "baseline"
#define GICA_VECTOR_BYTES 16
#include "kernels.inl"
