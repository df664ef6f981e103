// The state of what runs at one time on one thread of the operating system: a block, or the blocks of a cluster.
#pragma once

#include <vector_types.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "emulator/context.h"

namespace emulator {

struct Block;
struct Warp;

// A place in the source, for reports.
struct Site {
  const char* file;
  int line;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

inline std::string text(Site site) {
  const char* slash = std::strrchr(site.file, '/');
  return std::string(slash ? slash + 1 : site.file) + ":" + std::to_string(site.line);
}

struct Waiting {
  const char* operation = nullptr;
  Site site{};
  std::string (*detail)(const void* object, uint32_t value) = nullptr;  // what tells this wait from others of its kind
  const void* object = nullptr;
  uint32_t value = 0;
};

// One cp.async: `wanted` bytes are read, the rest is zero.
struct Copy {
  void* to;
  const void* from;
  uint32_t bytes, wanted;
};

// The copies of a thread that have not landed yet: first the committed groups, then the open one.
struct Copies {
  std::vector<Copy> all;
  std::vector<size_t> group_ends;
  size_t landed = 0, groups_landed = 0;

  void clear() {
    all.clear();
    group_ends.clear();
    landed = groups_landed = 0;
  }
};

struct Thread {
  Context context;
  Stack stack{};
  bool started = false;
  int lane = 0;
  uint3 index{};
  Warp* warp = nullptr;
  Block* block = nullptr;
  Waiting waiting;
  Copies copies;
  bool copied = false, unfenced = false;  // copies not yet waited for; copies landed that no fence made known
};

// Lanes of a warp on their way to a collective operation; free while none has arrived.
struct Gathering {
  const char* operation = nullptr;
  Site site{};
  uint32_t mask = 0, arrived = 0;
};

struct Warp {
  Block* block = nullptr;
  Thread* threads = nullptr;  // of its lanes
  int index = 0;              // in its block
  uint32_t unfinished = 0, ready = 0;
  Gathering gatherings[32];  // lanes may be at different ones, as long as every lane of a mask comes in the end
  int gatherings_used = 0;   // of the array
  void* arguments[32];       // of the lanes that have arrived somewhere
};

// bar.sync and bar.arrive, ids 1 to 15.
struct NamedBarrier {
  int expected = 0, arrived = 0;
  std::vector<Thread*> waiters;
};

// Four warps, and their asynchronous products that were not waited for: the committed groups and the open one.
struct Warpgroup {
  const char* operation = nullptr;
  Site site{};
  int arrived = 0;
  bool fenced = false;
  std::array<float*, 128> accumulators;
  std::vector<std::function<void()>> open;
  std::deque<std::vector<std::function<void()>>> groups;
};

struct Block {
  uint3 index{};
  int rank = 0;  // in its cluster
  Thread* threads = nullptr;
  Warp* warps = nullptr;
  int thread_count = 0, warp_count = 0, unfinished = 0;
  int at_barrier = 0;
  Site barrier_site{};
  NamedBarrier named[16];
  unsigned char* shared = nullptr;  // dynamic shared memory
  size_t shared_bytes = 0;
  int unfenced = 0;  // threads that are
  std::vector<Warpgroup> warpgroups;
};

struct FreeAligned {
  void operator()(unsigned char* p) const { ::operator delete[](p, std::align_val_t(1024)); }
};
using SharedMemory = std::unique_ptr<unsigned char[], FreeAligned>;

// What ends a launch; thrown by the thread that met it.
struct Failure {
  std::string message;
};

struct Machine {
  Context scheduler;
  Stacks stacks;
  Thread* current = nullptr;

  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<Block> blocks;
  std::vector<SharedMemory> shared;  // one allocation a block, of the exact size: a sanitizer sees what leaves it
  int unfinished = 0;

  const std::function<void()>* kernel = nullptr;
  std::vector<std::function<void()>> pending;  // asynchronous work that belongs to no thread
  std::vector<Thread*> phase_waiters;          // threads that wait for a phase of an mbarrier
  int at_cluster_barrier = 0;
  uint32_t random = 1;
  std::string error;

  uint32_t next_random() { return (random = random * 1664525u + 1013904223u) >> 8; }
};

#define GICA_EMULATOR_LOCAL inline thread_local
GICA_EMULATOR_LOCAL Machine* machine = nullptr;

inline Thread& current() {
  return *machine->current;
}

// The dynamic shared memory of the calling thread's block.
inline unsigned char* dynamic_shared() {
  return current().block->shared;
}

}  // namespace emulator

GICA_EMULATOR_LOCAL uint3 threadIdx;
GICA_EMULATOR_LOCAL uint3 blockIdx;
GICA_EMULATOR_LOCAL dim3 blockDim;
GICA_EMULATOR_LOCAL dim3 gridDim;
