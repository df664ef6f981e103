// How the paste of the sm90 family is cut into items of work: a group of foreground tiles by a part of the columns, and
// where those are few, a part of the list of live blocks.
#pragma once

#include "common/tiles.h"
#include "gica/cuda.h"

namespace gica::cuda {

constexpr int kCluster = 2;    // blocks that work on an item: each brings its part of the pixels to all of them
constexpr int kConsumers = 2;  // warpgroups of a block that multiply, a tile of the foreground each
constexpr int kSharingTiles = kCluster * kConsumers;  // a group: the pixels of the background are loaded once for all
constexpr int kSlabColumns = 256;                     // of the product, which is padded to whole multiples here
constexpr int kItemSums = kSharingTiles * kTileSize * kSlabColumns;

GICA_HOST_DEVICE inline int round_up_to(int x, int step) {
  return (x + step - 1) / step * step;
}

// Work for one cluster each: `groups` of tiles, `parts` of the columns, `splits` of the list of live blocks.
struct PasteItems {
  int groups, parts, splits;

  GICA_HOST_DEVICE int count() const { return groups * parts * splits; }
  GICA_HOST_DEVICE int index(int group, int part, int split) const { return (split * parts + part) * groups + group; }
  GICA_HOST_DEVICE int group(int item) const { return item % groups; }
  GICA_HOST_DEVICE int part(int item) const { return item / groups % parts; }
  GICA_HOST_DEVICE int split(int item) const { return item / groups / parts; }

  // Of each of some samples that are worked through together.
  static PasteItems of(const Shape& s, const TileTable& foreground, const TileTable& background, int samples,
                       const Device& device) {
    PasteItems items = unsplit(s, foreground);
    const int most = most_split(samples, device), length = background.count();
    int best = 0;
    for (int splits = 1; splits <= kMostSplits; ++splits) {
      const int count = items.groups * items.parts * splits;
      if (splits > 1 && count > most) break;
      const int waves = (count * samples + clusters(device) - 1) / clusters(device);
      const int cost = waves * ((length + splits - 1) / splits + (splits > 1 ? kSplitPrice : 0));
      if (splits == 1 || cost < best) best = cost, items.splits = splits;
    }
    return items;
  }

  // Partial sums of so many items have room to be kept, in any slice whose foreground is at most this.
  static int most_partial(const Shape& s, const TileTable& foreground, int samples, const Device& device) {
    return smaller(most_split(samples, device), kMostSplits * unsplit(s, foreground).count());
  }

 private:
  static constexpr int kMostSplits = 16;
  // Of writing partial sums and adding them up, in blocks multiplied meanwhile: an item's are 256 KiB, and a block
  // takes 64 KiB through the same cache where all of its group's tiles are live. Nearly half of it is the launch.
  static constexpr int kSplitPrice = 14;

  static PasteItems unsplit(const Shape& s, const TileTable& foreground) {
    return {(foreground.count() + kSharingTiles - 1) / kSharingTiles,
            round_up_to(s.columns, kSlabColumns) / kSlabColumns, 1};
  }
  static int clusters(const Device& device) { return larger(device.multiprocessors / kCluster, 1); }
  // Two waves of clusters.
  static int most_split(int samples, const Device& device) { return 2 * clusters(device) / samples; }
};

}  // namespace gica::cuda
