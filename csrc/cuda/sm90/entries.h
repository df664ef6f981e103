// The sm90 family's own kernels as the passes call them. They are in files of their own (instantiate/sm90_*), compiled
// for 9.0 alone: no other file sees their instructions.
#pragma once

#include "common/element.h"
#include "common/samples.h"
#include "common/scratch.h"
#include "common/tiles.h"
#include "common/walk_shape.h"
#include "gica/cuda.h"
#include "sm90/items.h"

namespace gica::cuda {

template <class E>
bool sm90_takes(const Call& call) {
  return kSixteenBits<E> && call.family == Family::sm90 && !call.generic_only;
}

// Whether the walk of 9.0 is the one for a problem that a walk takes, and the walk of one strip of some samples.
bool walk_sm90_takes(BFloat16, const Shape& s, const Device& device);
bool walk_sm90_takes(Half, const Shape& s, const Device& device);
Outcome walk_sm90(const WalkArguments<BFloat16>& a, Walked walked, const Shape& s, const Rect& strip, int samples,
                  void* stream);
Outcome walk_sm90(const WalkArguments<Half>& a, Walked walked, const Shape& s, const Rect& strip, int samples,
                  void* stream);

// What the paste keeps in scratch beside what every family does.
struct PasteSm90Buffers {
  void* slabs;     // pixels of the background: [tile][column][slot]
  float* partial;  // sums of items that share a tile: [item][tile of the group][...]
  int samples;     // the most that are pasted together

  static PasteSm90Buffers take(const Shape& s, const TileTable& largest_slice, int samples, const Device& device,
                               Scratch& scratch) {
    const int64_t columns = round_up_to(s.columns, kSlabColumns);
    const int64_t tiles = TileTable{s.background_grid()}.count();
    const int64_t partial = PasteItems::most_partial(s, largest_slice, samples, device);
    return {scratch.take<uint16_t>(tiles * columns * kTileSize), scratch.take<float>(partial * kItemSums), samples};
  }
};

// Once per sample: the slabs of its image of `values`.
Outcome prepare_paste_sm90(BFloat16, const PasteSm90Buffers& buffers, const Image& values, const Samples& samples,
                           const Shape& s, void* stream);
Outcome prepare_paste_sm90(Half, const PasteSm90Buffers& buffers, const Image& values, const Samples& samples,
                           const Shape& s, void* stream);

// One slice of a strip: its blocks of Abar, which of them are live, and where the results go. list and count are
// scratch, as long as `live` and the number of the slice's tiles.
struct PasteSlice {
  TileTable foreground, background;
  const void* blocks;
  const int* live;
  int *list, *count;
  Mask query;
  Samples samples;
  Image y;
};
Outcome paste_sm90(BFloat16, const PasteSlice& slice, const PasteSm90Buffers& buffers, const Shape& s,
                   const Device& device, void* stream);
Outcome paste_sm90(Half, const PasteSlice& slice, const PasteSm90Buffers& buffers, const Shape& s, const Device& device,
                   void* stream);

}  // namespace gica::cuda
