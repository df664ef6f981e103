// The driver's encoder of tensor maps as far as it can refuse: what the documentation of cuTensorMapEncodeTiled asks of
// its arguments. The map itself is left as it is.
#pragma once

#include <cuda.h>

namespace {

inline unsigned bytes_of(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8: return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16: return 2;
    case CU_TENSOR_MAP_DATA_TYPE_INT64:
    case CU_TENSOR_MAP_DATA_TYPE_UINT64:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64: return 8;
    default: return 4;
  }
}

inline unsigned span_of(CUtensorMapSwizzle swizzle) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE: return 256 * 8;
    case CU_TENSOR_MAP_SWIZZLE_32B: return 32;
    case CU_TENSOR_MAP_SWIZZLE_64B: return 64;
    default: return 128;
  }
}

inline CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address,
                                  const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                                  const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                                  CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  const auto aligned = [](const void* p, uintptr_t to) { return p && reinterpret_cast<uintptr_t>(p) % to == 0; };
  bool good =
      rank >= 1 && rank <= 5 && aligned(map, 64) && aligned(address, 16) && interleave == CU_TENSOR_MAP_INTERLEAVE_NONE;
  for (cuuint32_t i = 0; good && i < rank; ++i)
    good = sizes[i] >= 1 && sizes[i] <= (cuuint64_t{1} << 32) && box[i] >= 1 && box[i] <= 256 &&
           element_strides[i] >= 1 && element_strides[i] <= 8;
  for (cuuint32_t i = 0; good && i + 1 < rank; ++i) good = strides[i] % 16 == 0 && strides[i] < (cuuint64_t{1} << 40);
  const unsigned inner = good ? box[0] * bytes_of(type) : 0;
  return good && inner % 16 == 0 && inner <= span_of(swizzle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace
