// The arithmetics of the products: what an operand is stored as, and which matrix instruction multiplies it. Sums are
// float32 in all of them.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace gica::cuda {

struct BFloat16 {
  using Stored = __nv_bfloat16;
  static __host__ __device__ Stored store(float x) { return __float2bfloat16_rn(x); }
};
struct Half {
  using Stored = __half;
  static __host__ __device__ Stored store(float x) { return __float2half_rn(x); }
};
// float32 memory, products of 11-bit mantissas.
struct Tf32 {
  using Stored = float;
  static __host__ __device__ Stored store(float x) { return x; }
};
struct Float32 {
  using Stored = float;
  static __host__ __device__ Stored store(float x) { return x; }
};

inline __host__ __device__ float to_float(float x) {
  return x;
}
inline __host__ __device__ float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
inline __host__ __device__ float to_float(__half x) {
  return __half2float(x);
}

template <class T>
struct FromFloat;
template <>
struct FromFloat<float> {
  static __host__ __device__ float convert(float x) { return x; }
};
template <>
struct FromFloat<__nv_bfloat16> {
  static __host__ __device__ __nv_bfloat16 convert(float x) { return __float2bfloat16_rn(x); }
};
template <>
struct FromFloat<__half> {
  static __host__ __device__ __half convert(float x) { return __float2half_rn(x); }
};

template <class E>
constexpr bool kSixteenBits = sizeof(typename E::Stored) == 2;

// How many elements one 16-byte copy moves.
template <class E>
constexpr int kPerCopy = 16 / static_cast<int>(sizeof(typename E::Stored));

}  // namespace gica::cuda
