// Clusters: blocks that reach into each other's shared memory. Only dynamic shared memory: `__shared__` variables are
// one for all blocks of a cluster here.
#pragma once

#include <string>

#include "emulator/scheduler.h"

namespace emulator {

inline void cluster_barrier(Site site) {
  Machine& m = *machine;
  if (++m.at_cluster_barrier == m.unfinished) {
    open_cluster_barrier(m);
  } else {
    wait({"cluster_sync", site});
  }
}

// The same place in the shared memory of another block of the cluster.
template <class T>
T* in_block(T* p, int rank, Site site) {
  Machine& m = *machine;
  if (rank < 0 || rank >= static_cast<int>(m.blocks.size())) {
    fail("block " + std::to_string(rank) + " is not in this cluster of " + std::to_string(m.blocks.size()), site);
  }
  const Block& mine = *current().block;
  const Block& other = m.blocks[rank];
  const ptrdiff_t offset = reinterpret_cast<unsigned char*>(p) - mine.shared;
  if (offset < 0 || static_cast<size_t>(offset) >= mine.shared_bytes) fail("not in dynamic shared memory", site);
  if (!other.unfinished) fail("block " + std::to_string(rank) + " of this cluster has ended", site);
  return reinterpret_cast<T*>(other.shared + offset);
}

}  // namespace emulator
