// Copies by the tensor memory accelerator, whole tiles at a time, which an mbarrier counts.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "emulator/cluster.h"
#include "emulator/mbarrier.h"

namespace emulator {

// A matrix of 16-bit elements, and the box that one load takes from it.
struct TensorMap {
  const unsigned char* base;
  int64_t columns, rows, row_bytes;
  int box_rows;
};

constexpr int kSwizzledRow = 128;    // bytes of a row of a tile
constexpr int kSwizzledAtom = 1024;  // the pattern repeats after 8 rows

// Where a byte of a tile lies: 128-byte swizzle moves the 16-byte pieces of row r to place piece ^ (r % 8).
inline size_t swizzled(size_t offset) {
  return offset ^ (offset >> 7 & 7) << 4;
}

// Why no device would take this matrix, or null.
inline const char* refused(const void* base, uint64_t columns, uint64_t rows, uint64_t row_bytes, int box_columns,
                           int box_rows) {
  if (reinterpret_cast<uintptr_t>(base) % 16 || row_bytes % 16) return "tensor map: not aligned to 16 bytes";
  if (!columns || !rows || columns > UINT32_MAX || rows > UINT32_MAX) return "tensor map: a size is out of range";
  if (row_bytes >= 1ull << 40) return "tensor map: the rows are too far apart";
  if (box_columns * 2 != kSwizzledRow) return "tensor map: rows of the box are not 128 bytes";
  if (box_rows < 1 || box_rows > 256) return "tensor map: the box has no or more than 256 rows";
  return nullptr;
}

inline void land_tile(unsigned char* to, const TensorMap& map, int64_t x, int64_t y) {
  for (int r = 0; r < map.box_rows; r++) {
    uint16_t row[kSwizzledRow / 2] = {};  // what lies outside the matrix is zero
    const int64_t first = std::max<int64_t>(x, 0), end = std::min<int64_t>(x + kSwizzledRow / 2, map.columns);
    if (y + r >= 0 && y + r < map.rows && first < end) {
      std::memcpy(row + (first - x), map.base + (y + r) * map.row_bytes + 2 * first, 2 * (end - first));
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(row);
    for (int i = 0; i < kSwizzledRow; i += 16) {
      std::memcpy(to + swizzled(static_cast<size_t>(r) * kSwizzledRow + i), bytes + i, 16);
    }
  }
}

// Issues a copy of `bytes` to shared memory of a block; `land` does it.
template <class Land>
void bulk_copy(const char* operation, int block, void* to, int bytes, uint64_t* barrier, Site site, Land&& land) {
  PhaseBarrier* const counter = phase_barrier(barrier, operation, site);
  if (!options().eager) std::memset(to, 0xFF, bytes);  // the old contents are lost from now on
  do_async([=, place = text(site)] {
    Machine& m = *machine;
    if (!m.blocks[block].unfinished) {
      m.error = std::string(operation) + ": a block has ended before its copy has landed [" + place + "]";
      return;
    }
    land();
    have_landed(*counter, bytes);
  });
}

inline void check_place(const char* operation, const void* to, size_t bytes, size_t alignment, Site site) {
  const Block& block = *current().block;
  const ptrdiff_t offset = static_cast<const unsigned char*>(to) - block.shared;
  if (offset < 0 || offset + bytes > block.shared_bytes) {
    fail(std::string(operation) + ": the destination is not in dynamic shared memory", site);
  }
  if (offset % alignment) {
    fail(std::string(operation) + ": the destination is not a multiple of " + std::to_string(alignment), site);
  }
}

// The tile at column x and row y, into every block of the mask.
inline void load_tile(const char* operation, void* to, const TensorMap& map, uint64_t* barrier, int x, int y,
                      uint32_t blocks, Site site) {
  const int bytes = map.box_rows * kSwizzledRow;
  check_place(operation, to, bytes, kSwizzledAtom, site);
  for (int rank = 0; blocks; rank++, blocks >>= 1) {
    if (!(blocks & 1)) continue;
    auto* there = static_cast<unsigned char*>(in_block(static_cast<unsigned char*>(to), rank, site));
    bulk_copy(operation, rank, there, bytes, in_block(barrier, rank, site), site,
              [=, map = map] { land_tile(there, map, x, y); });
  }
}

inline void load_bytes(void* to, const void* from, int bytes, uint64_t* barrier, Site site) {
  check_place("bulk_load", to, bytes, 16, site);
  if (reinterpret_cast<uintptr_t>(from) % 16 || bytes % 16) {
    fail("bulk_load: the source or its size is not a multiple of 16", site);
  }
  bulk_copy("bulk_load", current().block->rank, to, bytes, barrier, site, [=] { std::memcpy(to, from, bytes); });
}

}  // namespace emulator
