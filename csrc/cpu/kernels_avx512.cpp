#define GICA_KERNELS kernels_avx512
#define GICA_NAME "avx512"
#define GICA_VECTOR_BYTES 64
#include "kernels.inl"
