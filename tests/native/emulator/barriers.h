// Barriers of a block.
#pragma once

#include <string>

#include "emulator/scheduler.h"

namespace emulator {

// Opens when all threads of the block that have not ended are there, every one at the same place in the source.
inline void block_barrier(Site site) {
  Block& block = *current().block;
  if (block.at_barrier == 0) {
    block.barrier_site = site;
  } else if (block.barrier_site.line != site.line) {
    fail("__syncthreads: others of this block are at the one in " + text(block.barrier_site), site);
  }
  if (++block.at_barrier == block.unfinished) {
    open_block_barrier(block);
  } else {
    wait({"__syncthreads", site});
  }
}

// One more warp's worth of threads at a named barrier; `threads` is how many it takes to open it.
inline void named_barrier(int id, int threads, bool waits, Site site) {
  if (id < 1 || id > 15) fail("named barrier: the id is not in 1 to 15 (0 is the one of __syncthreads)", site);
  if (threads % 32 || threads <= 0) fail("named barrier: the number of threads is not a multiple of 32", site);
  NamedBarrier& barrier = current().block->named[id];
  if (barrier.arrived == 0) {
    barrier.expected = threads;
  } else if (barrier.expected != threads) {
    fail("named barrier " + std::to_string(id) + ": others wait for " + std::to_string(barrier.expected) + " threads",
         site);
  }
  if (++barrier.arrived == barrier.expected) {
    for (Thread* waiter : barrier.waiters) make_ready(*waiter);
    barrier.waiters.clear();
    barrier.arrived = 0;
  } else if (waits) {
    barrier.waiters.push_back(&current());
    const auto detail = [](const void* object, uint32_t value) {
      const NamedBarrier& b = *static_cast<const NamedBarrier*>(object);
      return std::to_string(value) + ", at which " + std::to_string(b.arrived) + " of " + std::to_string(b.expected) +
             " threads have arrived";
    };
    wait({"named barrier", site, detail, &barrier, static_cast<uint32_t>(id)});
  }
}

}  // namespace emulator

inline void __syncthreads(emulator::Site site = emulator::Site::here()) {
  emulator::block_barrier(site);
}
