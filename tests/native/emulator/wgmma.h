// wgmma: matrix products of four warps on tiles in shared memory. They are done when they are waited for, or at once in
// eager mode.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "emulator/bulk_copies.h"
#include "emulator/copies.h"
#include "emulator/matrix.h"

namespace emulator {

// All 128 threads come, the last one computes.
template <class Compute>
void warpgroup_collective(const char* operation, Site site, float* accumulators, Compute&& compute) {
  Thread& me = current();
  const size_t which = me.warp->index / 4;
  if (which >= me.block->warpgroups.size()) fail(std::string(operation) + ": not four whole warps", site);
  Warpgroup& group = me.block->warpgroups[which];
  if (group.arrived == 0) {
    group.operation = operation;
    group.site = site;
  } else if (group.operation != operation || group.site.line != site.line) {
    fail(std::string(operation) + ": other threads of this warpgroup are at " + group.operation + " (" +
             text(group.site) + ")",
         site);
  }
  group.accumulators[me.warp->index % 4 * 32 + me.lane] = accumulators;
  if (++group.arrived < 128) return wait({operation, site});
  group.arrived = 0;
  compute(group);
  for (size_t i = 4 * which; i < 4 * which + 4; i++) me.block->warps[i].ready = ~0u;
}

// The descriptor of a tile with rows of 128 bytes, swizzled; adding 2 moves it on by 16 elements.
constexpr uint64_t kTileDescriptor = 1ull << 16 | static_cast<uint64_t>(kSwizzledAtom >> 4) << 32 | 1ull << 62;

inline uint64_t describe_tile(const void* tile, Site site) {
  const ptrdiff_t offset = static_cast<const unsigned char*>(tile) - current().block->shared;
  if (offset % kSwizzledAtom) fail("wgmma_descriptor: the tile is not a multiple of 1024", site);
  return static_cast<uint64_t>(offset & 0x3FFFF) >> 4 | kTileDescriptor;
}

// The 16 elements of row r behind a descriptor.
template <class Element>
void read_row(const Block& block, uint64_t descriptor, int r, float* elements) {
  const size_t start = (descriptor & 0x3FFF) << 4, atoms_apart = (descriptor >> 32 & 0x3FFF) << 4;
  const size_t place = start + r / 8 * atoms_apart + r % 8 * kSwizzledRow;
  typename Element::Bits bits[16];
  std::memcpy(bits, block.shared + swizzled(place), 16);
  std::memcpy(bits + 8, block.shared + swizzled(place + 16), 16);
  convert<Element, 16>(bits, elements);
}

// D (64 x columns) = A B^T, or D += A B^T. Element i of thread t is D[16 (t / 32) + t % 32 / 4 + 8 (i / 2 % 2)]
// [8 (i / 4) + 2 (t % 4) + i % 2].
template <class Element>
void multiply_tiles(const Block& block, uint64_t a, uint64_t b, int columns, bool accumulate,
                    const std::array<float*, 128>& d) {
  float left[64][16], right[16][8], sums[64][8];
  Row b_rows[16], d_rows[64];
  for (int r = 0; r < 64; r++) read_row<Element>(block, a, r, left[r]);
  for (int first = 0; first < columns; first += 8) {
    for (int c = 0; c < 8; c++) {
      float row[16];
      read_row<Element>(block, b, first + c, row);
      for (int k = 0; k < 16; k++) right[k][c] = row[k];
    }
    const auto each = [&](auto&& f) {
      for (int t = 0; t < 128; t++) {
        float* mine = d[t] + first / 2;
        const int r = t / 32 * 16 + t % 32 / 4, c = t % 4 * 2;
        for (int i = 0; i < 4; i++) f(mine[i], sums[r + i / 2 * 8][c + i % 2]);
      }
    };
    each([&](float& mine, float& sum) { sum = accumulate ? mine : 0.0f; });
    std::memcpy(b_rows, right, sizeof b_rows);
    std::memcpy(d_rows, sums, sizeof d_rows);
    for (int r = 0; r < 64; r += 4) multiply_rows(d_rows + r, left + r, b_rows);
    std::memcpy(sums, d_rows, sizeof sums);
    each([](float& mine, float& sum) { mine = sum; });
  }
}

template <class Element, int Count>
void wgmma(const char* operation, float (&d)[Count], uint64_t a, uint64_t b, bool accumulate, Site site) {
  static_assert(Count == 32 || Count == 36 || Count == 64 || Count == 128);
  const Block& block = *current().block;
  const auto inside = [&](uint64_t descriptor, int rows) {
    return ((descriptor & 0x3FFF) << 4) / kSwizzledAtom * kSwizzledAtom + rows * kSwizzledRow <= block.shared_bytes;
  };
  if (!inside(a, 64) || !inside(b, 2 * Count)) fail(std::string(operation) + ": a tile leaves shared memory", site);
  warpgroup_collective(operation, site, d, [&](Warpgroup& group) {
    if (block.unfenced) fail(std::string(operation) + ": no fence_async_proxy since copies were waited for", site);
    if (!group.fenced) fail(std::string(operation) + ": no wgmma_fence since the last products were waited for", site);
    auto work = [=, &block, d = group.accumulators] { multiply_tiles<Element>(block, a, b, 2 * Count, accumulate, d); };
    if (options().eager) return work();
    group.open.push_back(work);
  });
}

inline void fence_wgmma(Site site) {
  warpgroup_collective("wgmma_fence", site, nullptr, [](Warpgroup& group) { group.fenced = true; });
}

inline void commit_wgmma(Site site) {
  warpgroup_collective("wgmma_commit", site, nullptr, [](Warpgroup& group) {
    group.groups.push_back(std::move(group.open));
    group.open.clear();
  });
}

// Until no more than `groups` of the committed groups may still be under way.
inline void wait_wgmma(size_t groups, Site site) {
  warpgroup_collective("wgmma_wait", site, nullptr, [groups](Warpgroup& group) {
    for (; group.groups.size() > groups; group.groups.pop_front()) {
      for (const auto& work : group.groups.front()) work();
    }
    if (groups == 0) group.fenced = false;
  });
}

}  // namespace emulator
