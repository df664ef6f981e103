// Functions a device has built in, for one thread alone.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace emulator {

template <class To, class From>
To bits_of(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

template <class T>
using Arithmetic = std::enable_if_t<std::is_arithmetic_v<T>, T>;

// *p = change(*p) at one go; the old value.
template <class T, class Change>
T exchange(T* p, Change&& change) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  static_assert(sizeof(T) == sizeof(Bits));
  Bits* place = reinterpret_cast<Bits*>(p);
  Bits old = __atomic_load_n(place, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(place, &old, bits_of<Bits>(T(change(bits_of<T>(old)))), true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
  return bits_of<T>(old);
}

template <class T>
struct Same {
  using type = T;
};
template <class T>
using Plain = typename Same<T>::type;  // no deduction from this argument

}  // namespace emulator

template <class T>
constexpr emulator::Arithmetic<T> min(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return std::fmin(a, b);
  else
    return a < b ? a : b;
}
template <class T>
constexpr emulator::Arithmetic<T> max(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return std::fmax(a, b);
  else
    return a > b ? a : b;
}

// The low word of high:low shifted right, by shift modulo 32.
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) >> (shift & 31));
}
inline int __popc(unsigned v) {
  return __builtin_popcount(v);
}
inline int __popcll(unsigned long long v) {
  return __builtin_popcountll(v);
}
inline int __ffs(int v) {
  return __builtin_ffs(v);
}
inline int __ffsll(long long v) {
  return __builtin_ffsll(v);
}
inline int __clz(int v) {
  return v ? __builtin_clz(static_cast<unsigned>(v)) : 32;
}
inline int __clzll(long long v) {
  return v ? __builtin_clzll(static_cast<unsigned long long>(v)) : 64;
}
inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; i++) r |= (v >> i & 1) << (31 - i);
  return r;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t(a) * b >> 32);
}

inline unsigned __float_as_uint(float v) {
  return emulator::bits_of<unsigned>(v);
}
inline float __uint_as_float(unsigned v) {
  return emulator::bits_of<float>(v);
}
inline int __float_as_int(float v) {
  return emulator::bits_of<int>(v);
}
inline float __int_as_float(int v) {
  return emulator::bits_of<float>(v);
}

// Macros where a C library may have a function of the same name.
#define rsqrtf(x) (1.0f / std::sqrt(static_cast<float>(x)))
#define __expf(x) std::exp(static_cast<float>(x))
#define __logf(x) std::log(static_cast<float>(x))
#define __log2f(x) std::log2(static_cast<float>(x))
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fmaf(a, b, c);
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __frcp_rn(float a) {
  return 1.0f / a;
}
inline float __fsqrt_rn(float a) {
  return std::sqrt(a);
}
inline float __frsqrt_rn(float a) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a)));
}
inline float __saturatef(float a) {
  return a > 0 ? (a < 1 ? a : 1.0f) : 0.0f;
}

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
void __stcg(T* p, T v) {
  *p = v;
}
template <class T>
void __stcs(T* p, T v) {
  *p = v;
}

inline void __threadfence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
inline void __threadfence_block() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

template <class T>
T atomicAdd(T* p, emulator::Plain<T> v) {
  return emulator::exchange(p, [v](T old) { return old + v; });
}
template <class T>
T atomicMax(T* p, emulator::Plain<T> v) {
  static_assert(std::is_integral_v<T>);
  return emulator::exchange(p, [v](T old) { return old > v ? old : v; });
}
template <class T>
T atomicMin(T* p, emulator::Plain<T> v) {
  static_assert(std::is_integral_v<T>);
  return emulator::exchange(p, [v](T old) { return old < v ? old : v; });
}
template <class T>
T atomicOr(T* p, emulator::Plain<T> v) {
  return emulator::exchange(p, [v](T old) { return old | v; });
}
template <class T>
T atomicAnd(T* p, emulator::Plain<T> v) {
  return emulator::exchange(p, [v](T old) { return old & v; });
}
template <class T>
T atomicExch(T* p, emulator::Plain<T> v) {
  return emulator::exchange(p, [v](T) { return v; });
}
template <class T>
T atomicCAS(T* p, emulator::Plain<T> compare, emulator::Plain<T> v) {
  return emulator::exchange(p, [=](T old) { return old == compare ? v : old; });
}
