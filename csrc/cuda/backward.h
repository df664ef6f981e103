// The backward pass. Attention is recomputed strip by strip from the saved statistics of its rows; every strip adds to
// the gradients of the maps, and only when all have, the images are written.
#pragma once

#include "common/attention_gradient.h"
#include "common/gradient_walk.h"
#include "common/map_gradient.h"
#include "common/score_gradient.h"
#include "pass.h"

namespace gica::cuda {

template <class E>
struct BackwardBuffers {
  using Stored = typename E::Stored;
  ScoreBuffers scores;  // propagated: in the end their gradient
  // Live blocks of Abar; their gradients; gradient of the Gram products. Each takes the place of the one before.
  Stored *bars, *blocks, *grams;
  Stored* pixels;  // gradient of the output
  float* patches;  // gradient of the patch products, on the way that is not the walk's
  int *live, *list, *count, *positions;
  uint8_t* owned;
  // What the norms' gradient is added up from; then the foreground's. The one takes the place of the other.
  float *norms, *partial;
  int splits;

  static constexpr StripNeeds needs = {.both_sides = true, .slices = false};

  static BackwardBuffers take(const Shape& s, const Plan& plan, const ScorePath& path, Scratch& scratch) {
    const Strip strip = plan.largest();
    const BlockGrid grid{{strip.grid}, {s.background_grid()}};
    const Slots own = Slots::of(s, strip.scored);
    BackwardBuffers to;
    to.scores = ScoreBuffers::take<E>(s, strip, path, scratch);
    to.bars = to.blocks = to.grams =
        scratch.take<Stored>(larger(int64_t{grid.count()} * kBlockSize, int64_t{own.gram_slots()} * s.row_stride));
    to.pixels = scratch.take<Stored>(int64_t{grid.foreground.count()} * kTileSize * s.columns);
    to.patches = path.walk ? nullptr : scratch.take<float>(int64_t{own.score_slots()} * s.row_stride);
    to.live = scratch.take<int>(grid.count());
    to.list = scratch.take<int>(grid.count());
    to.count = scratch.take<int>(grid.background.count());
    to.positions = scratch.take<int>(own.gram_slots());
    to.owned = scratch.take<uint8_t>(int64_t{grid.foreground.count()} * kTileSize);
    // A strip has few rows and the background many: its depth is split until there are blocks enough to fill a device.
    to.splits = static_cast<int>(larger<int64_t>(1, smaller<int64_t>(s.Q / 512, 256 * 64 / own.gram_slots())));
    to.norms = to.partial =
        scratch.take<float>(larger(path.walk ? GradientRuns::of(s, own).all_norms(s, own) : int64_t{kNormParts} * s.Q,
                                   int64_t{to.splits} * own.gram_slots() * s.depth));
    return to;
  }
};

// Gradients of one sample's maps, summed over its strips.
struct MapSums {
  float *f = nullptr, *b = nullptr, *norm = nullptr, *pixels = nullptr;
  int64_t f_size = 0, b_size = 0;
  void* memory;
  int64_t bytes;  // all of them

  MapSums(const Shape& s, bool need_f, bool need_b, bool need_pixels, Scratch& scratch) {
    memory = scratch.take<char>(0), bytes = -scratch.used();
    if (need_f) f = scratch.take<float>(f_size = int64_t{s.P} * s.depth);
    if (need_b) b = scratch.take<float>(b_size = int64_t{s.Q} * s.depth), norm = scratch.take<float>(s.Q);
    if (need_pixels)
      pixels = scratch.take<float>(int64_t{TileTable{s.background_grid()}.count()} * kTileSize * s.columns);
    bytes += scratch.used();
  }
};

// What is asked for. Without values of their own the pixels pasted are b's.
struct Needs {
  bool f, b, pixels;
  bool scores() const { return f || b; }
};

template <class T, class E>
class Backward : public Pass<T, E, BackwardBuffers<E>> {
  using Base = Pass<T, E, BackwardBuffers<E>>;

 public:
  Backward(const BackwardParams& params, const Needs& needs, const float* row_max, const float* row_sum,
           const Call& call)
      : Base(params.in, call, Walked::scores_and_patches, true),
        params_(params),
        needs_(needs),
        row_max_(row_max),
        row_sum_(row_sum),
        sums_(s_, needs.f, needs.b, needs.pixels, scratch_),
        picks_(scratch_.template take<int>(params.in.f.height + params.in.f.width + params.in.b.height +
                                           params.in.b.width)) {}

  Outcome run() {
    return Base::each_group([&](const Samples& samples) -> Outcome {
      GICA_TRY(clear_each(sums_.memory, sums_.bytes, s_.scratch_stride, samples.count, stream_));
      GICA_TRY(Base::each_strip([&](const Strip& strip) { return run_strip(samples, strip); }));
      return write(samples);
    });
  }

 private:
  using Base::call_, Base::stream_, Base::s_, Base::path_, Base::scratch_, Base::sample_, Base::to_;

  Outcome run_strip(const Samples& samples, const Strip& strip) {
    const BlockGrid grid{{strip.grid}, sample_.background};
    GICA_TRY(attend(samples, strip, grid));
    if (needs_.pixels) GICA_TRY(add_pixels(samples.count, strip, grid));
    if (!needs_.scores()) return {};
    GICA_TRY(differentiate_scores(samples, strip, grid));
    GICA_TRY(differentiate_products(samples.count, strip));
    return add_maps(samples.count, strip);
  }

  Attention attention(const Samples& samples, const Strip& strip) const {
    const int64_t rows = int64_t{samples.first} * s_.P;
    return {to_.scores.propagated, strip.positions, row_max_ + rows, row_sum_ + rows, sample_.rows()};
  }

  // Attention again, its live blocks, and the gradient of the output in the order of the paste product.
  Outcome attend(const Samples& samples, const Strip& strip, const BlockGrid& grid) {
    const int n = samples.first;
    const unsigned z = samples.count;
    GICA_TRY(compute_scores<Walked::scores_and_patches>(sample_, samples.count, strip, to_.scores, path_, call_));
    GICA_TRY(GICA_LAUNCH((gather_live_blocks<E>), dim3(grid.count(), 1, z), dim3(kGatherThreads), 0, stream_,
                         attention(samples, strip), grid, s_, params_.live + n * map_size(s_), to_.bars, to_.live));
    return GICA_LAUNCH((phase_pixels<T, E>), dim3(grid.foreground.count() * kTileSize, 1, z), dim3(128), 0, stream_,
                       params_.grad_y, n, grid.foreground, s_, PhaseOptions{true, s_.phases / s_.rate},
                       params_.in.query, to_.pixels);
  }

  Outcome add_pixels(unsigned z, const Strip& strip, const BlockGrid& grid) {
    using G = PixelGradientProduct<E>;
    const int down = grid.foreground.count(), across = grid.across();
    GICA_TRY(GICA_LAUNCH(find_owned, dim3(down), dim3(kTileSize), 0, stream_, grid.foreground, strip.own, to_.owned));
    GICA_TRY(GICA_LAUNCH(list_live, dim3(across, 1, z), dim3(32), 0, stream_, to_.live, down, across, 1, s_, to_.list,
                         to_.count));
    return GICA_LAUNCH((add_pixel_gradients<E>), dim3(s_.columns / G::columns * across, 1, z), dim3(G::threads),
                       G::shared_bytes, stream_, to_.bars, to_.pixels, to_.owned, LiveList{to_.list, to_.count, down},
                       grid, s_, sums_.pixels);
  }

  Outcome differentiate_scores(const Samples& samples, const Strip& strip, const BlockGrid& grid) {
    using G = BlockProduct<E>;
    const unsigned z = samples.count;
    GICA_TRY(GICA_LAUNCH((block_gradients<E>), dim3(grid.count(), 1, z), dim3(G::threads), G::shared_bytes, stream_,
                         to_.pixels, sample_.pixels, to_.live, grid, s_, to_.blocks));
    return GICA_LAUNCH((score_row_gradients<typename E::Stored>), dim3(strip.scored.area(), 1, z), dim3(kRowThreads), 0,
                       stream_, attention(samples, strip),
                       BlockGradients<typename E::Stored>{to_.blocks, to_.live, grid}, strip.scored, s_,
                       to_.scores.propagated);
  }

  // Through propagation and patches.
  Outcome differentiate_products(unsigned z, const Strip& strip) {
    const Slots own = Slots::of(s_, strip.scored);
    const dim3 row_of_q(blocks_for(s_.Q, 128), 1, z);
    if (path_.walk) {
      const auto* scores = static_cast<const typename E::Stored*>(to_.scores.kept);
      const GradientWalk<E> walk = {
          to_.scores.propagated,         strip.positions, sample_.reciprocal_norm, scores, own, to_.grams,
          needs_.b ? to_.norms : nullptr};
      GICA_TRY(launch_gradient_walk(walk, s_, z, stream_));
      if (!needs_.b) return {};
      return GICA_LAUNCH(add_walked_norms, row_of_q, dim3(128), 0, stream_, to_.norms, own, s_, sums_.norm);
    }
    const dim3 block(256);
    GICA_TRY(GICA_LAUNCH(
        patch_gradients, dim3(blocks_for(own.score_slots(), kSlotsTogether) * blocks_for(s_.Q, 256), 1, z), block, 0,
        stream_, to_.scores.propagated, strip.positions, sample_.reciprocal_norm, s_, own, to_.patches));
    GICA_TRY(GICA_LAUNCH((gram_gradients<E>),
                         dim3(blocks_for(own.gram_slots(), kSlotsTogether) * blocks_for(s_.row_stride, 256), 1, z),
                         block, 0, stream_, to_.patches, s_, own, to_.grams));
    if (!needs_.b) return {};
    GICA_TRY(GICA_LAUNCH(norm_gradient_parts, dim3(blocks_for(s_.Q, 128), kNormParts, z), dim3(128), 0, stream_,
                         to_.patches, own, to_.scores.scores, Slots::of(s_, strip.positions), s_, to_.norms));
    return GICA_LAUNCH(add_norm_gradients, row_of_q, dim3(128), 0, stream_, to_.norms, s_, sums_.norm);
  }

  Outcome add_maps(unsigned z, const Strip& strip) {
    const Slots own = Slots::of(s_, strip.scored);
    const int count = own.gram_slots();
    if (needs_.f) {
      using G = ForegroundProduct<E>;
      GICA_TRY(GICA_LAUNCH(
          (foreground_gradients<E>), dim3(blocks_for(s_.depth, G::columns), blocks_for(count, G::rows) * to_.splits, z),
          dim3(G::threads), G::shared_bytes, stream_, to_.grams, sample_.b, count, s_, to_.splits, to_.partial));
      GICA_TRY(GICA_LAUNCH(add_foreground_gradients, dim3(blocks_for(sums_.f_size, 256), 1, z), dim3(256), 0, stream_,
                           to_.partial, own, to_.splits, s_, sums_.f));
    }
    if (!needs_.b) return {};
    using G = BackgroundProduct<E>;
    GICA_TRY(GICA_LAUNCH(list_slots, dim3(blocks_for(count, 256)), dim3(256), 0, stream_, own, s_.P, to_.positions));
    return GICA_LAUNCH((add_background_gradients<E>),
                       dim3(blocks_for(s_.depth, G::columns), blocks_for(s_.Q, G::rows), z), dim3(G::threads),
                       G::shared_bytes, stream_, to_.grams, sample_.f, to_.positions, count, s_, sums_.b);
  }

  Outcome write(const Samples& samples) {
    const unsigned z = samples.count;
    const PixelGradient pasted = {sums_.pixels, sample_.background};
    if (needs_.f)
      GICA_TRY(write_map(params_.grad_f, samples, s_.hf, s_.wf, sums_.f, picks_, {nullptr, sample_.background}));
    if (needs_.b) {
      GICA_TRY(GICA_LAUNCH((add_norm_to_background<E>), dim3(blocks_for(sums_.b_size, 256), 1, z), dim3(256), 0,
                           stream_, sums_.norm, sample_.reciprocal_norm, sample_.b, s_, sums_.b));
      GICA_TRY(write_map(params_.grad_b, samples, s_.hb, s_.wb, sums_.b,
                         picks_ + params_.in.f.height + params_.in.f.width,
                         params_.in.separate_values ? PixelGradient{nullptr, sample_.background} : pasted));
    }
    if (params_.in.separate_values && needs_.pixels)
      GICA_TRY(GICA_LAUNCH((write_gradient<T>), dim3(blocks_for(pixels_of(params_.grad_values), 256), 1, z), dim3(256),
                           0, stream_, params_.grad_values, samples.first, s_, MapGradient{}, pasted));
    return {};
  }

  static int64_t pixels_of(const Image& image) { return image.channels * image.height * image.width; }

  Outcome write_map(const Image& image, const Samples& samples, int height, int width, const float* sums, int* picks,
                    const PixelGradient& pasted) {
    const int image_height = static_cast<int>(image.height), image_width = static_cast<int>(image.width);
    int* columns = picks + image_height;
    GICA_TRY(GICA_LAUNCH(invert_picks, dim3(1), dim3(256), 0, stream_, image_height, height, s_.semantics, picks));
    GICA_TRY(GICA_LAUNCH(invert_picks, dim3(1), dim3(256), 0, stream_, image_width, width, s_.semantics, columns));
    return GICA_LAUNCH((write_gradient<T>), dim3(blocks_for(pixels_of(image), 256), 1, samples.count), dim3(256), 0,
                       stream_, image, samples.first, s_, MapGradient{sums, picks, columns, width, s_.depth}, pasted);
  }

  const BackwardParams& params_;
  const Needs needs_;
  const float *row_max_, *row_sum_;
  const MapSums sums_;
  int* picks_;
};

template <class T, class E>
Outcome run_or_measure_backward(const BackwardParams& params, const float* row_max, const float* row_sum,
                                const Call& call, int64_t* scratch) {
  const bool need_b = params.grad_b.channels > 0;
  const Needs needs = {params.grad_f.channels > 0, need_b,
                       params.in.separate_values ? params.grad_values.channels > 0 : need_b};
  Backward<T, E> pass(params, needs, row_max, row_sum, call);
  if (!scratch) return pass.run();
  *scratch = pass.scratch();
  return {};
}

}  // namespace gica::cuda
