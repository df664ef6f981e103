// What every pass makes of one sample before its strips are worked through.
#pragma once

#include "common/clear.h"
#include "common/paste.h"
#include "common/plan.h"
#include "common/scores.h"
#include "common/scratch.h"
#include "common/softmax.h"
#include "gica/cuda.h"
#include "sm80/walk.h"
#include "sm90/entries.h"

namespace gica::cuda {

// The unit of rounding of the output's dtype: blocks of attention below it, shared out over a row or a column, are left
// out (docs/semantics.md).
inline double rounding_unit(Dtype dtype) {
  return dtype == Dtype::bfloat16 ? 0x1p-9 : dtype == Dtype::float16 ? 0x1p-12 : 0x1p-24;
}

inline Shape shape_of(const Inputs& in) {
  const Geometry g(in);
  Shape s{};
  s.batch = g.batch, s.channels = g.channels, s.value_channels = g.value_channels;
  s.hf = g.hf, s.wf = g.wf, s.hb = g.hb, s.wb = g.wb, s.P = g.P, s.Q = g.Q;
  s.box_radius = g.box_radius, s.fuse_radius = g.fuse_radius, s.halo = g.halo;
  s.rate = in.options.rate, s.phases = g.phases, s.before = g.before;
  s.depth = round_up(s.channels, 16);
  s.value_depth = round_up(s.value_channels, 8);
  s.columns = round_up(s.phases * s.phases * s.value_depth, 128);
  s.row_stride = round_up(s.Q, 8);
  s.softmax_scale = static_cast<float>(in.options.softmax_scale);
  s.threshold = in.options.skip ? static_cast<float>(rounding_unit(in.dtype) / larger(g.P, g.Q)) : -1.f;
  s.semantics = in.options.semantics;
  return s;
}

template <class T, class E>
class Sample {
 public:
  using Stored = typename E::Stored;

  Sample(const Inputs& inputs, const Shape& shape, bool pasted, Scratch& scratch)
      : in(inputs), s(shape), background{shape.background_grid()} {
    f = scratch.take<Stored>(int64_t{s.P} * s.depth);
    b = scratch.take<Stored>(int64_t{s.Q} * s.depth);
    energy_ = scratch.take<double>(s.Q);
    reciprocal_norm = scratch.take<float>(s.Q);
    valid_ = scratch.take<uint8_t>(s.Q);
    wanted_ = scratch.take<uint8_t>(s.P);
    invalid_count_ = scratch.take<int>(1);
    if (pasted) pixels = scratch.take<Stored>(int64_t{background.count()} * kTileSize * s.columns);
  }

  Outcome prepare(const Samples& samples, void* stream) {
    const dim3 block(256);
    const int n = samples.first;
    const unsigned z = samples.count;
    GICA_TRY(GICA_LAUNCH((reduce_map<T, E>), dim3(blocks_for(s.P, 32), blocks_for(s.depth, 32), z), block, 0, stream,
                         in.f, n, s.hf, s.wf, s, f));
    GICA_TRY(GICA_LAUNCH((reduce_map<T, E>), dim3(blocks_for(s.Q, 32), blocks_for(s.depth, 32), z), block, 0, stream,
                         in.b, n, s.hb, s.wb, s, b));
    GICA_TRY(GICA_LAUNCH((pixel_energy<T>), dim3(blocks_for(s.Q, 64), 1, z), dim3(64), 0, stream, in.b, n, s, energy_,
                         invalid_count_));
    GICA_TRY(GICA_LAUNCH(norms_and_validity, dim3(blocks_for(s.Q, 256), 1, z), block, 0, stream, energy_, in.hole, in.b,
                         n, s, reciprocal_norm, valid_, invalid_count_));
    GICA_TRY(GICA_LAUNCH(find_wanted, dim3(blocks_for(s.P, 256), 1, z), block, 0, stream, in.query, n, s, wanted_));
    if (pixels)
      GICA_TRY(GICA_LAUNCH((phase_pixels<T, E>), dim3(background.count() * kTileSize, 1, z), dim3(128), 0, stream,
                           in.values, n, background, s, PhaseOptions{false, 1}, Mask{}, pixels));
    return {};
  }

  RowInputs rows() const { return {wanted_, valid_, invalid_count_}; }

  const Inputs& in;
  const Shape& s;
  const TileTable background;
  Stored *f = nullptr, *b = nullptr, *pixels = nullptr;
  float* reciprocal_norm = nullptr;

 private:
  double* energy_;
  uint8_t *valid_, *wanted_;
  int* invalid_count_;
};

template <class E>
bool walk_is_sm90(const Shape& s, const Call& call) {
  if constexpr (kSixteenBits<E>) return sm90_takes<E>(call) && walk_sm90_takes(E{}, s, call.device);
  return false;
}

// Of the walk's tiles.
template <class E>
int walk_columns(const Shape& s, const Call& call) {
  return walk_is_sm90<E>(s, call) || walk_is_wide<E>(s, call.device) ? WideWalk<E>::columns : NarrowWalk<E>::columns;
}

// How the scores of a problem are computed, and what is left of them. Every other way than the walk's leaves scores.
struct ScorePath {
  bool walk;
  Walked walked;
  PieceGrid pieces;  // of weights

  template <class E>
  static ScorePath of(const Shape& s, const Call& call, Walked wanted) {
    const bool walk = !call.generic_only && walk_takes<E>(s, call.device);
    const Walked walked = wanted == Walked::weights && !(walk && kSixteenBits<E>) ? Walked::scores : wanted;
    return {walk, walked, PieceGrid::of(s, walk_columns<E>(s, call))};
  }
  bool weights() const { return walked == Walked::weights; }

  // What the scores of a strip cost, in steps of a walk by 64 positions: rows and columns grow by what their sums reach
  // for. In three steps a position takes some four times as long.
  double cost(const Shape& s, const Strip& strip) const {
    const Rect& rows = strip.positions;
    return walk ? walk_cost(s, rows) : 4. / 64 * Slots::of(s, rows).gram_slots();
  }
};

// Where the scores of a strip are computed; null what the path does not need.
struct ScoreBuffers {
  float* propagated = nullptr;                // [row of the strip][row_stride]
  float *grams = nullptr, *scores = nullptr;  // [slot][row_stride]
  void* kept = nullptr;  // the walk's in place of `scores`: at the strip's own slots, rounded to what is multiplied
  int* positions = nullptr;
  void* weights = nullptr;  // [row of the strip][row_stride]
  Piece* pieces = nullptr;  // [row of the strip][piece]

  template <class E>
  static ScoreBuffers take(const Shape& s, const Strip& strip, const ScorePath& path, Scratch& scratch) {
    const Slots slots = Slots::of(s, strip.positions);
    const int64_t rows = strip.positions.area();
    ScoreBuffers to;
    if (path.weights()) {
      to.weights = scratch.take<uint16_t>(rows * s.row_stride);
      to.pieces = scratch.take<Piece>(rows * path.pieces.count(s));
    } else if (path.walk) {
      to.propagated = scratch.take<float>(rows * s.row_stride);
    } else {
      // Propagated scores take the place of the Gram products, which are not needed by then.
      to.propagated = to.grams = scratch.take<float>(int64_t{slots.gram_slots()} * s.row_stride);
      to.positions = scratch.take<int>(slots.gram_slots());
    }
    if (!path.walk)
      to.scores = scratch.take<float>(int64_t{slots.score_slots()} * s.row_stride);
    else if (path.walked == Walked::scores_and_patches)
      to.kept = scratch.take<typename E::Stored>(int64_t{Slots::of(s, strip.scored).score_slots()} * s.row_stride);
    return to;
  }
};

// walked: what the path leaves, known when this is compiled, since each is a kernel of its own.
template <Walked walked, class T, class E>
Outcome compute_scores(const Sample<T, E>& sample, int samples, const Strip& of, const ScoreBuffers& to,
                       const ScorePath& path, const Call& call) {
  const Shape& s = sample.s;
  const Rect &strip = of.positions, &scored = of.scored;
  if (path.walk) {
    const RowInputs rows = sample.rows();
    const WalkArguments<E> a = {
        sample.f,
        sample.b,
        sample.reciprocal_norm,
        rows.wanted,
        rows.valid,
        to.propagated,
        static_cast<typename E::Stored*>(to.kept),
        static_cast<typename E::Stored*>(to.weights),
        to.pieces,
        {scored.y0 - s.fuse_radius, scored.y1 + s.fuse_radius, scored.x0 - s.fuse_radius, scored.x1 + s.fuse_radius}};
    if constexpr (kSixteenBits<E>)
      if (walk_is_sm90<E>(s, call)) return walk_sm90(a, walked, s, strip, samples, call.stream);
    return walk<walked>(a, s, strip, samples, call.device, call.stream);
  }
  // The steps that serve every size of patch and propagation.
  using G = GramProduct<E>;
  const Slots slots = Slots::of(s, strip);
  const int count = slots.gram_slots();
  const dim3 block(256);
  GICA_TRY(GICA_LAUNCH(list_slots, dim3(blocks_for(count, 256)), block, 0, call.stream, slots, s.P, to.positions));
  GICA_TRY(GICA_LAUNCH(
      gram_products<E>, dim3(blocks_for(s.row_stride, G::columns), blocks_for(count, G::rows), samples),
      dim3(G::threads), G::shared_bytes, call.stream, sample.f, sample.b, s, to.positions, count, to.grams));
  const unsigned across = blocks_for(s.Q, 256);
  GICA_TRY(GICA_LAUNCH(patch_scores, dim3(slots.score_slots() * across, 1, samples), block, 0, call.stream, to.grams,
                       sample.reciprocal_norm, s, slots, to.scores));
  return GICA_LAUNCH(propagate_scores, dim3(slots.strip.area() * across, 1, samples), block, 0, call.stream, to.scores,
                     s, slots, to.propagated);
}

}  // namespace gica::cuda
