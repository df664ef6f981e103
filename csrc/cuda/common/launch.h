// Launching a kernel: the same words under nvcc and under the emulator.
//
//     if (auto failed = GICA_LAUNCH((kernel<A, B>), grid, block, dynamic_shared_bytes, stream, arguments...);
//         failed.error)
//       return failed;
#pragma once

#if !defined(GICA_EMULATED)
#include <cuda_runtime.h>
#endif

#include <mutex>
#include <utility>

#include "gica/cuda.h"

// Names of kernels that contain a comma go in parentheses.
#define GICA_LAUNCH(kernel, grid, block, dynamic_shared_bytes, stream, ...) \
  GICA_LAUNCH_CLUSTER(kernel, grid, block, 1, dynamic_shared_bytes, stream, ##__VA_ARGS__)

// The same for clusters of `blocks` blocks along x.
#define GICA_LAUNCH_CLUSTER(kernel, grid, block, blocks, dynamic_shared_bytes, stream, ...)                       \
  ::gica::cuda::launch(#kernel,                                                                                   \
                       ::gica::cuda::LaunchShape{grid, block, static_cast<size_t>(dynamic_shared_bytes), blocks}, \
                       stream, kernel, ##__VA_ARGS__)

namespace gica::cuda {
constexpr int kDynamicSharedAlignment = 1024;
}

#if defined(GICA_EMULATED)

#define GICA_DYNAMIC_SHARED(name) unsigned char* name = ::emulator::dynamic_shared()

namespace gica::cuda {

using LaunchShape = emulator::Shape;

template <class... Parameters, class... Arguments>
Outcome launch(const char* name, const LaunchShape& shape, void* /*stream*/, void (*kernel)(Parameters...),
               Arguments&&... arguments) {
  const char* failed = emulator::launch(name, shape, kernel, std::forward<Arguments>(arguments)...);
  return failed ? Outcome{1, failed} : Outcome{};
}

}  // namespace gica::cuda

#else

// Declares `name`, a pointer to the block's dynamic shared memory.
#define GICA_DYNAMIC_SHARED(name)                                                                         \
  extern __shared__ __align__(::gica::cuda::kDynamicSharedAlignment) unsigned char gica_dynamic_shared[]; \
  unsigned char* name = gica_dynamic_shared

namespace gica::cuda {

struct LaunchShape {
  dim3 grid, block;
  size_t dynamic_shared_bytes = 0;
  unsigned cluster = 1;
};

// The error is reported here: whoever asks the runtime for its last one shall not meet it again.
inline Outcome launch_failed(cudaError_t error, const char* name) {
  cudaGetLastError();
  return {static_cast<int>(error), name};
}

// How much dynamic shared memory the kernel may be launched with on the current device. It is only ever raised: another
// thread may be about to launch the kernel with more.
inline cudaError_t allow_dynamic_shared(const void* kernel, int bytes) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> alone(one_at_a_time);
  cudaFuncAttributes now{};
  const cudaError_t unknown = cudaFuncGetAttributes(&now, kernel);
  if (unknown != cudaSuccess || now.maxDynamicSharedSizeBytes >= bytes) return unknown;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

template <class... Parameters, class... Arguments>
Outcome launch(const char* name, const LaunchShape& shape, void* stream, void (*kernel)(Parameters...),
               Arguments&&... arguments) {
  constexpr size_t kWithoutAsking = 48 << 10;
  if (shape.dynamic_shared_bytes > kWithoutAsking) {
    const cudaError_t refused =
        allow_dynamic_shared(reinterpret_cast<const void*>(kernel), static_cast<int>(shape.dynamic_shared_bytes));
    if (refused != cudaSuccess) return launch_failed(refused, name);
  }
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = shape.cluster;
  cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.dynamic_shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  config.attrs = &cluster;
  config.numAttrs = shape.cluster > 1 ? 1 : 0;
  const cudaError_t result = cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
  return result == cudaSuccess ? Outcome{} : launch_failed(result, name);
}

}  // namespace gica::cuda

#endif
