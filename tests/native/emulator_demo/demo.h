// What the demonstrations share. Each computes something on the device, checks it, and can make one mistake on purpose.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "common/launch.h"

namespace demo {

using gica::cuda::Outcome;

enum class Bug {
  none,
  no_barrier,         // a value in shared memory is read without a barrier after it was written
  divergent_barrier,  // half the warps go to another barrier than the rest
  divergent_shuffle,  // half a warp does not come to a shuffle that names all of it
  out_of_bounds,      // a store behind the end of shared memory
  no_wait,            // a copy is not waited for
  no_guard,           // a stage is filled again while others still read it
  no_trans,           // ldmatrix without .trans
  misaligned,         // ldmatrix at an address that is not a multiple of 16
  misaligned_copy,    // cp.async likewise
  early_release,      // a stage is given back before its product is done
  wrong_count,        // an mbarrier waits for more arrivals than there are
  wrong_bytes,        // an mbarrier waits for more bytes than there are
  no_init,            // an mbarrier is not initialised
  no_fence,           // a product without wgmma_fence
  no_proxy_fence,     // a product of what cp.async brought without fence_async_proxy
  no_full,            // a stage is read without waiting for its copies
  left_copy,          // the kernel ends before its last copy has landed
  leave_early,        // a block ends while others of its cluster still reach into it
  count
};
constexpr const char* kBugNames[] = {
    "none",     "no_barrier",     "divergent_barrier", "divergent_shuffle", "out_of_bounds", "no_wait",     "no_guard",
    "no_trans", "misaligned",     "misaligned_copy",   "early_release",     "wrong_count",   "wrong_bytes", "no_init",
    "no_fence", "no_proxy_fence", "no_full",           "left_copy",         "leave_early"};
static_assert(sizeof kBugNames / sizeof *kBugNames == static_cast<size_t>(Bug::count));

// An empty string where everything is right.
std::string block_sum(Bug bug);
std::string warp_functions(Bug bug);
std::string layouts(Bug bug);
std::string product_sm80(Bug bug);
std::string layouts_sm90(Bug bug);
std::string product_sm90(Bug bug);
std::string product_cluster(Bug bug);

inline std::string failure(Outcome outcome) {
  return "failed: " + std::string(outcome.what);
}

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : size_(values.size()) {
    cudaMalloc(&data_, size_ * sizeof(T));
    cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  explicit DeviceArray(size_t size) : DeviceArray(std::vector<T>(size)) {}
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> values(size_);
    cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost);
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t size_;
};

// Small integers, which bfloat16 and float16 hold and float32 adds without rounding.
inline std::vector<float> random_integers(size_t size, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(size);
  for (float& v : values) v = static_cast<float>(static_cast<int>(generator() % 17) - 8);
  return values;
}

template <class T>
std::vector<T> converted(const std::vector<float>& values) {
  std::vector<T> result;
  for (float v : values) result.push_back(T(v));
  return result;
}

// a is m x k; b is k x n, or n x k where it is transposed.
inline std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, int m, int n, int k,
                                  bool transposed) {
  std::vector<float> c(static_cast<size_t>(m) * n);
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < n; j++) {
      for (int x = 0; x < k; x++) c[i * n + j] += a[i * k + x] * (transposed ? b[j * k + x] : b[x * n + j]);
    }
  }
  return c;
}

template <class T>
std::string compare(const char* what, const std::vector<T>& got, const std::vector<T>& wanted) {
  for (size_t i = 0; i < wanted.size(); i++) {
    if (got[i] == wanted[i]) continue;
    return "wrong: " + std::string(what) + "[" + std::to_string(i) + "] is " + std::to_string(got[i]) + ", not " +
           std::to_string(wanted[i]);
  }
  return "";
}

}  // namespace demo
