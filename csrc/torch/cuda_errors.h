// What went wrong on a device, as a sentence for users.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "gica/cuda.h"

namespace gica::cuda {

inline std::string sentence(const Outcome& outcome, const Device& device) {
  const auto error = static_cast<cudaError_t>(outcome.error);
  const std::string capability = std::to_string(device.major) + "." + std::to_string(device.minor);
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      return "gica_ops: the CUDA kernels were built for " GICA_CUDA_ARCHITECTURES
             ", nothing of which runs on compute capability " +
             capability + ": build the package again with GICA_CUDA_ARCHITECTURES=" + std::to_string(device.major) +
             std::to_string(device.minor);
    case cudaErrorInsufficientDriver:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
      return "gica_ops: the CUDA driver is too old for CUDA " GICA_CUDA_VERSION
             ", which the kernels were built with: update the driver, or build the package with an older toolkit";
    case cudaErrorMemoryAllocation: return std::string("gica_ops: out of memory on the device in ") + outcome.what;
    case cudaErrorInvalidConfiguration:
    case cudaErrorLaunchOutOfResources:
      return std::string("gica_ops: the kernel ") + outcome.what +
             " asks for more than a device of compute capability " + capability + " has (" + cudaGetErrorString(error) +
             "): please report this, with the shapes";
    default:
      return std::string("gica_ops: ") + outcome.what + " failed: " + cudaGetErrorString(error) + " (" +
             cudaGetErrorName(error) +
             "). An earlier kernel of this process may have caused it: CUDA_LAUNCH_BLOCKING=1 tells";
  }
}

}  // namespace gica::cuda
