// How kernels are run: what a test varies from one run to the next.
#pragma once

namespace emulator {

struct Options {
  int threads = 2;     // blocks (or clusters) that run at the same time, each on a thread of the operating system
  int seed = 0;        // 0: warps and lanes in order; other seeds: other schedules
  bool eager = false;  // asynchronous work is done when it is issued; otherwise as late as it may be
};

inline Options& options() {
  static Options options;
  return options;
}

inline void set_threads(int threads) {
  options().threads = threads;
}
inline void set_seed(int seed) {
  options().seed = seed;
}
inline void set_eager(bool eager) {
  options().eager = eager;
}

}  // namespace emulator
