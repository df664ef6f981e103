// What a device can do, read from the runtime.
#include <cuda_runtime_api.h>

#include "gica/cuda.h"

namespace gica::cuda {

Outcome describe(int index, Device* device) {
  int shared = 0, cache = 0;
  const struct {
    int* to;
    cudaDeviceAttr attribute;
  } wanted[] = {
      {&device->major, cudaDevAttrComputeCapabilityMajor},
      {&device->minor, cudaDevAttrComputeCapabilityMinor},
      {&device->multiprocessors, cudaDevAttrMultiProcessorCount},
      {&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin},
      {&cache, cudaDevAttrL2CacheSize},
  };
  for (const auto& [to, attribute] : wanted)
    if (const cudaError_t error = cudaDeviceGetAttribute(to, attribute, index); error != cudaSuccess)
      return {static_cast<int>(error), "cudaDeviceGetAttribute"};
  device->shared_bytes = shared, device->cache_bytes = cache;
  return {};
}

}  // namespace gica::cuda
