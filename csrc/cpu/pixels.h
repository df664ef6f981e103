// Reading and writing rows of tensors of any dtype and strides.
#pragma once

#include <cstdint>
#include <cstring>

#include "gica/geometry.h"

namespace gica::cpu {
namespace {

inline float from_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline uint32_t to_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

inline float decode(float x) {
  return x;
}
inline double decode(double x) {
  return x;
}
inline float decode(BFloat16 x) {
  return from_bits(static_cast<uint32_t>(x.bits) << 16);
}
inline float decode(Float16 x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
  if (rest >= 0x7c00u) return from_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // A multiplication sets the exponent right, for normal and subnormal numbers alike.
  return from_bits(sign | to_bits(from_bits(rest << 13) * 0x1p112f));
}

template <class E>
E encode(double x);
template <>
inline float encode<float>(double x) {
  return static_cast<float>(x);
}
template <>
inline double encode<double>(double x) {
  return x;
}
// Round to nearest, ties to even; the input is a float held in a double.
template <>
inline BFloat16 encode<BFloat16>(double x) {
  const uint32_t bits = to_bits(static_cast<float>(x));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}
template <>
inline Float16 encode<Float16>(double x) {
  const uint32_t bits = to_bits(static_cast<float>(x)), sign = bits >> 16 & 0x8000u;
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (rest >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (rest < 0x38800000u)  // subnormal: adding 1/2 leaves the rounded value in the low bits
    return {static_cast<uint16_t>(sign | (to_bits(from_bits(rest) + 0.5f) - 0x3f000000u))};
  return {static_cast<uint16_t>(sign | ((rest + 0xfffu + (rest >> 13 & 1u) - 0x38000000u) >> 13))};
}

// Calls use(pointer to the first element, as its own type).
template <class Use>
void with_type(Dtype dtype, void* data, const Use& use) {
  switch (dtype) {
    case Dtype::float32: return use(static_cast<float*>(data));
    case Dtype::float64: return use(static_cast<double*>(data));
    case Dtype::bfloat16: return use(static_cast<BFloat16*>(data));
    case Dtype::float16: return use(static_cast<Float16*>(data));
  }
}

inline int64_t row_offset(const Image& image, int64_t n, int64_t c, int64_t y) {
  return n * image.stride[0] + c * image.stride[1] + y * image.stride[2];
}

// line[x - x0] = in[x * step] for x in [x0, x1); 0 outside [0, width)
template <class E, class T>
inline void decode_line(const E* in, int64_t step, int64_t width, int64_t x0, int64_t x1, T* line) {
  const int64_t begin = smaller(larger<int64_t>(x0, 0), x1), end = larger(smaller(x1, width), begin);
  for (int64_t x = x0; x < begin; ++x) line[x - x0] = T(0);
  for (int64_t x = end; x < x1; ++x) line[x - x0] = T(0);
  if (step == 1)
    for (int64_t x = begin; x < end; ++x) line[x - x0] = static_cast<T>(decode(in[x]));
  else
    for (int64_t x = begin; x < end; ++x) line[x - x0] = static_cast<T>(decode(in[x * step]));
}

// out[x * step] = line[x - x0] for x in [x0, x1)
template <class E, class T>
inline void encode_line(E* out, int64_t step, int64_t x0, int64_t x1, const T* line) {
  if (step == 1)
    for (int64_t x = x0; x < x1; ++x) out[x] = encode<E>(line[x - x0]);
  else
    for (int64_t x = x0; x < x1; ++x) out[x * step] = encode<E>(line[x - x0]);
}

// line[x] = image(n, c, y, x)
template <class T>
void read_row(const Image& image, Dtype dtype, int64_t n, int64_t c, int64_t y, T* line) {
  with_type(dtype, image.data, [&](const auto* data) {
    decode_line(data + row_offset(image, n, c, y), image.stride[3], image.width, 0, image.width, line);
  });
}

// image(n, c, y, x) = line[x]
template <class T>
void write_row(const Image& image, Dtype dtype, int64_t n, int64_t c, int64_t y, const T* line) {
  with_type(dtype, image.data,
            [&](auto* data) { encode_line(data + row_offset(image, n, c, y), image.stride[3], 0, image.width, line); });
}

}  // namespace
}  // namespace gica::cpu
