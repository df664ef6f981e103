#define GICA_KERNELS kernels_avx2
#define GICA_NAME "avx2"
#define GICA_VECTOR_BYTES 32
#include "kernels.inl"
