// The arithmetics of the products: what an operand is stored as, and which matrix instruction multiplies it. Sums are
// float32 in all of them.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>

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

// Eight neighbours, the first at a multiple of 16 bytes.
__device__ __forceinline__ void load_eight(const float* from, float (&values)[8]) {
  const float4 first = *reinterpret_cast<const float4*>(from), second = *reinterpret_cast<const float4*>(from + 4);
  values[0] = first.x, values[1] = first.y, values[2] = first.z, values[3] = first.w;
  values[4] = second.x, values[5] = second.y, values[6] = second.z, values[7] = second.w;
}
template <class Stored>
__device__ __forceinline__ void load_eight(const Stored* from, float (&values)[8]) {
  Stored packed[8];
  static_assert(sizeof packed == 16);
  const uint4 loaded = *reinterpret_cast<const uint4*>(from);
  memcpy(packed, &loaded, 16);
#pragma unroll
  for (int k = 0; k < 8; ++k) values[k] = to_float(packed[k]);
}

// How many elements one 16-byte copy moves.
template <class E>
constexpr int kPerCopy = 16 / static_cast<int>(sizeof(typename E::Stored));

}  // namespace gica::cuda
