// The functions of the CUDA runtime that host code around kernels calls. Device memory is host memory, streams are done
// at once. The runtime's own headers are kept out: their names must not meet those of a real runtime in the process.
#pragma once

#include <driver_types.h>

#include <cstdlib>
#include <cstring>

#define __CUDA_RUNTIME_H__
#define __CUDA_RUNTIME_API_H__

inline cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t = nullptr) {
  if (bytes) std::memset(p, value, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemset2DAsync(void* p, size_t pitch, int value, size_t width, size_t height,
                                     cudaStream_t = nullptr) {
  for (size_t row = 0; row < height; ++row) cudaMemsetAsync(static_cast<char*>(p) + row * pitch, value, width);
  return cudaSuccess;
}
inline cudaError_t cudaMemset(void* p, int value, size_t bytes) {
  return cudaMemsetAsync(p, value, bytes);
}

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t = nullptr) {
  if (bytes) std::memmove(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind);
}

template <class T>
cudaError_t cudaMalloc(T** p, size_t bytes) {
  void* memory = nullptr;  // of the exact size: a sanitizer sees what leaves it
  if (posix_memalign(&memory, 256, bytes)) return cudaErrorMemoryAllocation;
  *p = static_cast<T*>(memory);
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* p) {
  std::free(p);
  return cudaSuccess;
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() {
  return cudaSuccess;
}
inline cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
inline cudaError_t cudaPeekAtLastError() {
  return cudaSuccess;
}
inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "an error";
}

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int) {
  return cudaSuccess;
}
