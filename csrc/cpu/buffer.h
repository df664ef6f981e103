// Scratch memory. Allocation failure is a state, not an exception: kernels neither throw nor exit.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "gica/parallel.h"

namespace gica::cpu {
namespace {

template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t size) {
    const size_t bytes = static_cast<size_t>(size) * sizeof(T) + 64;
    const size_t alignment = bytes < kHugePage ? 64 : kHugePage;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    data_ = static_cast<T*>(std::aligned_alloc(alignment, rounded));
#if defined(__linux__)
    // Strips are walked across their rows, a page or more apart: large pages save most of the address translation.
    if (data_ && alignment == kHugePage) madvise(data_, rounded, MADV_HUGEPAGE);
#endif
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  explicit operator bool() const { return data_ != nullptr; }
  T* data() const { return data_; }
  T& operator[](int64_t i) const { return data_[i]; }

 private:
  static constexpr size_t kHugePage = size_t{2} << 20;
  T* data_;
};

// One scratch area per worker, each on cache lines of its own.
template <class T>
class WorkerBuffer {
 public:
  WorkerBuffer(int workers, int64_t size) : size_((size + 31) / 16 * 16), all_(size_ * workers) {}
  explicit operator bool() const { return static_cast<bool>(all_); }
  T* of(int worker) const { return all_.data() + worker * size_; }

 private:
  int64_t size_;
  Buffer<T> all_;
};

// body(task, worker) for every task.
template <class Body>
void parallel(const ParallelFor& loop, int64_t tasks, const Body& body) {
  loop.run(
      loop.context, tasks,
      [](void* argument, int64_t task, int worker) { (*static_cast<const Body*>(argument))(task, worker); },
      const_cast<Body*>(&body));
}

template <class T>
void fill(T* p, int64_t count, T value) {
  for (int64_t i = 0; i < count; ++i) p[i] = value;
}

}  // namespace
}  // namespace gica::cpu
