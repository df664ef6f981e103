// Vectors of the instruction set this file is compiled for, in GCC's vector extensions. Included by kernels.inl only.
#pragma once

#include <cstdint>

namespace gica::cpu {
namespace {

template <class T>
struct IntegerOf;
template <>
struct IntegerOf<float> {
  using type = int32_t;
  using bits = uint32_t;
};
template <>
struct IntegerOf<double> {
  using type = int64_t;
  using bits = uint64_t;
};
template <class T>
using Integer = typename IntegerOf<T>::type;

template <class T>
struct VectorOf {
  static constexpr int lanes = GICA_VECTOR_BYTES / sizeof(T);
  typedef T type __attribute__((vector_size(GICA_VECTOR_BYTES)));
  typedef T unaligned __attribute__((vector_size(GICA_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
constexpr int kLanes = VectorOf<T>::lanes;

template <class T>
inline Vector<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}
template <class T>
inline void store(T* p, Vector<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}
template <class T>
inline Vector<T> splat(T x) {
  return Vector<T>{} + x;
}

// mask lanes are 0 or -1, as comparisons give them.
template <class T>
inline Vector<T> keep_where(Vector<Integer<T>> mask, Vector<T> v) {
  return (Vector<T>)(mask & (Vector<Integer<T>>)v);
}
template <class T>
inline Vector<T> choose(Vector<Integer<T>> mask, Vector<T> yes, Vector<T> no) {
  return (Vector<T>)((mask & (Vector<Integer<T>>)yes) | (~mask & (Vector<Integer<T>>)no));
}
template <class T>
inline Vector<T> larger_of(Vector<T> a, Vector<T> b) {
  return a > b ? a : b;
}
template <class T>
inline T sum_lanes(Vector<T> v) {
  T total = v[0];
  for (int lane = 1; lane < kLanes<T>; ++lane) total += v[lane];
  return total;
}

// Calls use(count), with the count a constant where it is the usual 3, or 1, so that loops over it unroll.
template <class Use>
inline void with_count(int64_t count, const Use& use) {
  struct Three {
    constexpr operator int64_t() const { return 3; }
  };
  struct One {
    constexpr operator int64_t() const { return 1; }
  };
  if (count == 3)
    use(Three{});
  else if (count == 1)
    use(One{});
  else
    use(count);
}

// exp(x) for x <= 0, to about one unit in the last place; what would be subnormal is 0, NaN stays NaN.
template <class T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr float lowest = -87.0f, magic = 12582912.0f, log2e = 1.44269504f, ln2_high = 0.693359375f,
                         ln2_low = -2.12194440e-4f;
  static constexpr int exponent_bits = 23, degree = 7;
};
template <>
struct ExpConstants<double> {
  static constexpr double lowest = -708.0, magic = 6755399441055744.0, log2e = 1.4426950408889634,
                          ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
  static constexpr int exponent_bits = 52, degree = 13;
};

template <class T>
inline Vector<T> exp_nonpositive(Vector<T> x) {
  using K = ExpConstants<T>;
  using Bits = Vector<typename IntegerOf<T>::bits>;  // may wrap, where the result is not used
  constexpr double inverse_factorial[] = {
      1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
      1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
  const Vector<T> shifted = x * K::log2e + K::magic;  // the integer nearest to x / ln 2 sits in the low bits
  const Vector<T> n = shifted - K::magic;
  Vector<T> r = x - n * K::ln2_high;
  r = r - n * K::ln2_low;
  Vector<T> p = splat<T>(static_cast<T>(inverse_factorial[K::degree]));
#pragma GCC unroll 16
  for (int i = K::degree - 1; i >= 0; --i) p = p * r + static_cast<T>(inverse_factorial[i]);
  const auto bits = (Bits)p + ((Bits)shifted << K::exponent_bits);
  return x < K::lowest ? Vector<T>{} : (x != x ? x : (Vector<T>)bits);
}

}  // namespace
}  // namespace gica::cpu
