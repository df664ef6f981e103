// What marks a function or a variable in CUDA C++ marks nothing here. After the toolkit's headers, which define the
// same.
#pragma once

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __launch_bounds__
#undef __forceinline__
#undef __noinline__
#undef __align__
#undef __grid_constant__
#undef __cluster_dims__

#define __global__
#define __device__
#define __host__
#define __constant__
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) alignas(n)
#define __grid_constant__
#define __cluster_dims__(...)

// One for every thread of the operating system, which runs one block at a time.
#define __shared__ static thread_local
