// Operations of a warp: its lanes gather, the last one computes for all.
#pragma once

#include <cstdint>
#include <string>

#include "emulator/scheduler.h"

namespace emulator {

inline std::string lanes_missing(const void* object, uint32_t) {
  const Gathering& gathering = *static_cast<const Gathering*>(object);
  char s[64];
  std::snprintf(s, sizeof s, "without lanes 0x%08x of its mask 0x%08x", gathering.mask & ~gathering.arrived,
                gathering.mask);
  return s;
}

// Where lanes gather for this operation, at this place, with this mask.
inline Gathering& gathering_for(Warp& warp, const char* operation, uint32_t mask, Site site) {
  Gathering* free = nullptr;
  for (int i = 0; i < warp.gatherings_used; i++) {
    Gathering& g = warp.gatherings[i];
    if (!g.arrived) {
      free = &g;
    } else if (g.operation == operation && g.site.line == site.line && g.mask == mask) {
      return g;
    }
  }
  Gathering& fresh = free ? *free : warp.gatherings[warp.gatherings_used++];
  fresh = {operation, site, mask, 0};
  return fresh;
}

// Every lane of `mask` comes with an argument, which stays its own: `compute` gets pointers to all of them, by lane,
// and leaves the results there. Lanes that come to different operations wait for each other in vain: a deadlock is
// reported.
template <class Argument, class Compute>
void collective(const char* operation, uint32_t mask, Site site, Argument& argument, Compute&& compute) {
  Thread& me = current();
  Warp& warp = *me.warp;
  const uint32_t bit = 1u << me.lane;
  if (!(mask & bit)) fail(std::string(operation) + ": the calling lane is not in its own mask", site);
  if (mask & ~warp.unfinished) fail(std::string(operation) + ": a lane of the mask has ended or does not exist", site);
  Gathering& gathering = gathering_for(warp, operation, mask, site);
  warp.arguments[me.lane] = &argument;
  gathering.arrived |= bit;
  if (gathering.arrived != mask) return wait({operation, site, lanes_missing, &gathering, 0});
  gathering.arrived = 0;
  compute(reinterpret_cast<Argument**>(warp.arguments));
  warp.ready |= mask;
}

template <class F>
void for_lanes(uint32_t mask, F&& f) {
  for (; mask; mask &= mask - 1) f(__builtin_ctz(mask));
}

template <class T>
struct Exchange {
  T given, taken;
  int source;  // lane
};

// A lane outside the mask has nothing to give; a device returns anything then, this the caller's own value.
template <class T>
T shuffle(const char* operation, uint32_t mask, T value, int source, Site site) {
  Exchange<T> mine{value, value, source};
  collective(operation, mask, site, mine, [mask](Exchange<T>** lanes) {
    for_lanes(mask, [&](int i) {
      const int from = lanes[i]->source;
      if (mask >> from & 1) lanes[i]->taken = lanes[from]->given;
    });
  });
  return mine.taken;
}

inline int lane() {
  return current().lane;
}

// The lane itself where the wanted one lies outside its group of `width` lanes.
inline int within(int source, int width) {
  return source / width == lane() / width && source >= 0 ? source : lane();
}

template <class T, class Combine>
T reduce(const char* operation, uint32_t mask, T value, Site site, Combine&& combine) {
  collective(operation, mask, site, value, [&](T** lanes) {
    T all = *lanes[__builtin_ctz(mask)];
    for_lanes(mask & (mask - 1), [&](int i) { all = combine(all, *lanes[i]); });
    for_lanes(mask, [&](int i) { *lanes[i] = all; });
  });
  return value;
}

// A bit for every lane.
inline uint32_t ballot(const char* operation, uint32_t mask, bool value, Site site) {
  return reduce(operation, mask, value ? 1u << lane() : 0u, site, [](uint32_t a, uint32_t b) { return a | b; });
}

}  // namespace emulator

template <class T>
T __shfl_sync(uint32_t mask, T value, int source, int width = 32, emulator::Site site = emulator::Site::here()) {
  const int first = emulator::lane() & -width;
  return emulator::shuffle("__shfl_sync", mask, value, first | (source & (width - 1)), site);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int bits, int width = 32, emulator::Site site = emulator::Site::here()) {
  return emulator::shuffle("__shfl_xor_sync", mask, value, emulator::within(emulator::lane() ^ bits, width), site);
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, int by, int width = 32, emulator::Site site = emulator::Site::here()) {
  return emulator::shuffle("__shfl_up_sync", mask, value, emulator::within(emulator::lane() - by, width), site);
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, int by, int width = 32, emulator::Site site = emulator::Site::here()) {
  return emulator::shuffle("__shfl_down_sync", mask, value, emulator::within(emulator::lane() + by, width), site);
}

inline void __syncwarp(uint32_t mask = ~0u, emulator::Site site = emulator::Site::here()) {
  int nothing = 0;
  emulator::collective("__syncwarp", mask, site, nothing, [](int**) {});
}
inline uint32_t __ballot_sync(uint32_t mask, int predicate, emulator::Site site = emulator::Site::here()) {
  return emulator::ballot("__ballot_sync", mask, predicate, site);
}
inline int __any_sync(uint32_t mask, int predicate, emulator::Site site = emulator::Site::here()) {
  return emulator::ballot("__any_sync", mask, predicate, site) != 0;
}
inline int __all_sync(uint32_t mask, int predicate, emulator::Site site = emulator::Site::here()) {
  return emulator::ballot("__all_sync", mask, predicate, site) == mask;
}

// int and unsigned only, as on the device.
template <class T>
T __reduce_add_sync(uint32_t mask, T value, emulator::Site site = emulator::Site::here()) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return emulator::reduce("__reduce_add_sync", mask, value, site,
                          [](T a, T b) { return T(unsigned(a) + unsigned(b)); });
}
template <class T>
T __reduce_max_sync(uint32_t mask, T value, emulator::Site site = emulator::Site::here()) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return emulator::reduce("__reduce_max_sync", mask, value, site, [](T a, T b) { return a > b ? a : b; });
}
template <class T>
T __reduce_min_sync(uint32_t mask, T value, emulator::Site site = emulator::Site::here()) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return emulator::reduce("__reduce_min_sync", mask, value, site, [](T a, T b) { return a < b ? a : b; });
}
inline unsigned __reduce_or_sync(uint32_t mask, unsigned value, emulator::Site site = emulator::Site::here()) {
  return emulator::reduce("__reduce_or_sync", mask, value, site, [](unsigned a, unsigned b) { return a | b; });
}
inline unsigned __reduce_and_sync(uint32_t mask, unsigned value, emulator::Site site = emulator::Site::here()) {
  return emulator::reduce("__reduce_and_sync", mask, value, site, [](unsigned a, unsigned b) { return a & b; });
}
