// The parallel loop that kernels are given: they own no threads.
#pragma once

#include <cstdint>

namespace gica {

// run(context, tasks, body, argument) calls body(argument, task, worker) once for every task in [0, tasks), in any
// order and on any thread; worker is in [0, workers) and no two calls with the same worker overlap.
struct ParallelFor {
  using Body = void (*)(void* argument, int64_t task, int worker);
  void* context = nullptr;
  int workers = 1;
  void (*run)(void* context, int64_t tasks, Body body, void* argument) = nullptr;
};

inline void run_serially(void*, int64_t tasks, ParallelFor::Body body, void* argument) {
  for (int64_t task = 0; task < tasks; ++task) body(argument, task, 0);
}

}  // namespace gica
