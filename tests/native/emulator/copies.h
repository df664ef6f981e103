// cp.async: copies to shared memory that land when they are waited for, or at once in eager mode.
#pragma once

#include <cstdint>
#include <cstring>

#include "emulator/scheduler.h"

namespace emulator {

inline void land(const Copy& copy) {
  if (copy.wanted) std::memcpy(copy.to, copy.from, copy.wanted);
  std::memset(static_cast<unsigned char*>(copy.to) + copy.wanted, 0, copy.bytes - copy.wanted);
}

inline void copy_async(void* to, const void* from, uint32_t bytes, bool wanted, Site site) {
  if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) & (bytes - 1)) {
    fail("cp.async: an address is not a multiple of " + std::to_string(bytes), site);
  }
  current().copied = true;
  const Copy copy{to, from, bytes, wanted ? bytes : 0};
  if (options().eager) return land(copy);
  std::memset(to, 0xFF, bytes);  // from now on the copy may land at any time: the old contents are lost
  current().copies.all.push_back(copy);
}

inline void commit_copies() {
  Copies& copies = current().copies;
  copies.group_ends.push_back(copies.all.size());
}

// Until no more than `groups` of the committed groups may still be under way.
inline void wait_for_copies(size_t groups) {
  Copies& copies = current().copies;
  while (copies.group_ends.size() - copies.groups_landed > groups) {
    const size_t end = copies.group_ends[copies.groups_landed++];
    while (copies.landed < end) land(copies.all[copies.landed++]);
  }
  if (copies.landed == copies.all.size() && copies.groups_landed == copies.group_ends.size()) copies.clear();
  Thread& me = current();
  if (me.copied && !me.unfenced) me.unfenced = true, me.block->unfenced++;
  me.copied = false;
}

// What the thread's copies have brought is known to products of four warps from here on.
inline void fence_copies() {
  Thread& me = current();
  if (me.unfenced) me.unfenced = false, me.block->unfenced--;
}

}  // namespace emulator
