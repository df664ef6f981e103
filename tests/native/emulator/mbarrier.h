// mbarrier: barriers in shared memory that count arrivals and bytes, phase after phase.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "emulator/scheduler.h"

namespace emulator {

struct PhaseBarrier {
  static constexpr uint32_t kMark = 0x2A;
  uint32_t expected : 12, pending : 12, phase : 1, mark : 7;
  int32_t bytes;  // that are announced and have not landed; less than 0 while they land before they are announced
};
static_assert(sizeof(PhaseBarrier) == sizeof(uint64_t));

inline PhaseBarrier* phase_barrier(void* barrier, const char* operation, Site site) {
  if (reinterpret_cast<uintptr_t>(barrier) & 7) fail(std::string(operation) + ": address not a multiple of 8", site);
  PhaseBarrier* b = static_cast<PhaseBarrier*>(barrier);
  if (b->mark != PhaseBarrier::kMark) fail(std::string(operation) + ": the mbarrier was not initialised", site);
  return b;
}

inline std::string where_in_shared(const void* p) {
  for (const Block& block : machine->blocks) {
    const ptrdiff_t offset = static_cast<const unsigned char*>(p) - block.shared;
    if (offset >= 0 && static_cast<size_t>(offset) < block.shared_bytes) return "at byte " + std::to_string(offset);
  }
  return "";
}

inline void init_phase_barrier(void* barrier, int arrivals, Site site) {
  if (reinterpret_cast<uintptr_t>(barrier) & 7) fail("mbarrier_init: address not a multiple of 8", site);
  if (arrivals < 1 || arrivals > 4095) fail("mbarrier_init: " + std::to_string(arrivals) + " arrivals", site);
  const uint32_t count = arrivals;
  *static_cast<PhaseBarrier*>(barrier) = {count, count, 0, PhaseBarrier::kMark, 0};
}

// Completes the phase if nothing is missing any more.
inline void settle(PhaseBarrier& barrier) {
  if (barrier.pending || barrier.bytes) return;
  barrier.pending = barrier.expected;
  barrier.phase ^= 1;
  std::vector<Thread*>& waiters = machine->phase_waiters;
  const auto woken = std::remove_if(waiters.begin(), waiters.end(), [&](Thread* thread) {
    const bool over = thread->waiting.object == &barrier && thread->waiting.value != barrier.phase;
    if (over) make_ready(*thread);
    return over;
  });
  waiters.erase(woken, waiters.end());
}

inline void arrive(PhaseBarrier& barrier, Site site) {
  if (!barrier.pending) {
    fail("mbarrier " + where_in_shared(&barrier) + ": more arrivals than the " + std::to_string(barrier.expected) +
             " of a phase",
         site);
  }
  barrier.pending--;
  settle(barrier);
}

inline void announce(PhaseBarrier& barrier, int bytes) {
  barrier.bytes += bytes;
}

inline void have_landed(PhaseBarrier& barrier, int bytes) {
  barrier.bytes -= bytes;
  settle(barrier);
}

// Until the phase of this parity is complete.
inline void wait_for_phase(PhaseBarrier& barrier, uint32_t parity, Site site) {
  if (barrier.phase != parity) return;
  machine->phase_waiters.push_back(&current());
  const auto detail = [](const void* object, uint32_t value) {
    const PhaseBarrier& b = *static_cast<const PhaseBarrier*>(object);
    return where_in_shared(object) + " for its phase " + std::to_string(value) + ", which lacks " +
           std::to_string(b.pending) + " of " + std::to_string(b.expected) + " arrivals and " +
           std::to_string(b.bytes) + " bytes";
  };
  wait({"mbarrier", site, detail, &barrier, parity});
}

}  // namespace emulator
