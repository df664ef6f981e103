// The forward pass and the match: strip by strip scores and the sums of their softmax, slice by slice live blocks and
// paste.
#pragma once

#include "gica/cuda.h"
#include "pass.h"
#include "sm90/entries.h"

namespace gica::cuda {

template <class E>
struct ForwardBuffers {
  ScoreBuffers scores;
  RowSummary summary;
  typename E::Stored* blocks;
  int *live, *list, *count;

  static constexpr StripNeeds needs = {.both_sides = false, .slices = true};

  static ForwardBuffers take(const Shape& s, const Plan& plan, const ScorePath& path, Scratch& scratch) {
    const Strip strip = plan.largest();
    const BlockGrid grid{{plan.largest_slice()}, {s.background_grid()}};
    ForwardBuffers to;
    to.scores = ScoreBuffers::take<E>(s, strip, path, scratch);
    if (!path.weights())
      to.summary.chunk_max = scratch.take<float>(int64_t{strip.positions.area()} * s.hb * chunks_across(s));
    to.summary.bounds = scratch.take<float>(int64_t{strip.positions.area()} * grid.across());
    to.blocks = scratch.take<typename E::Stored>(int64_t{grid.count()} * kBlockSize);
    to.live = scratch.take<int>(grid.count());
    to.list = scratch.take<int>(grid.count());
    to.count = scratch.take<int>(grid.foreground.count());
    return to;
  }
};

template <class T, class E>
class Forward : public Pass<T, E, ForwardBuffers<E>> {
  using Base = Pass<T, E, ForwardBuffers<E>>;

 public:
  Forward(const ForwardParams& params, const Call& call)
      // Offsets are found in the scores.
      : Base(params.in, call, params.offsets ? Walked::scores : Walked::weights, !sm90_takes<E>(call)),
        params_(params) {
    if (sm90_takes<E>(call))
      sm90_ = PasteSm90Buffers::take(s_, TileTable{plan_.largest_slice()}, together_, call.device, scratch_);
  }

  Outcome run() {
    GICA_TRY(clear(params_.live, s_.batch * map_size(s_), stream_));
    return Base::each_group([&](const Samples& samples) -> Outcome {
      if constexpr (kSixteenBits<E>)
        if (sm90_takes<E>(call_)) GICA_TRY(prepare_paste_sm90(E{}, sm90_, params_.in.values, samples, s_, stream_));
      return Base::each_strip([&](const Strip& strip) { return run_strip(samples, strip); });
    });
  }

 private:
  using Base::call_, Base::stream_, Base::s_, Base::path_, Base::plan_, Base::together_, Base::scratch_, Base::sample_,
      Base::to_;

  Outcome run_strip(const Samples& samples, const Strip& strip) {
    GICA_TRY(attend(samples, strip));
    for (int i = 0; i < plan_.slices(); ++i) {
      const BlockGrid grid{{plan_.slice(strip, i)}, sample_.background};
      if (grid.foreground.count() == 0) continue;
      GICA_TRY(gather(samples, strip, grid));
      GICA_TRY(paste_blocks(samples, grid));
    }
    return {};
  }

  RowOutputs row_outputs(int n) const {
    return {static_cast<float*>(params_.row_max) + int64_t{n} * s_.P,
            static_cast<float*>(params_.row_sum) + int64_t{n} * s_.P,
            params_.offsets ? params_.offsets + int64_t{n} * 2 * s_.P : nullptr, nullptr};
  }

  // The attention of a strip: its scores or weights, and the sums of their rows.
  Outcome attend(const Samples& samples, const Strip& strip) {
    const Rect& positions = strip.positions;
    const ScoreBuffers& scores = to_.scores;
    const RowOutputs out = row_outputs(samples.first);
    const dim3 rows(positions.area(), 1, samples.count), threads(kRowThreads);
    if constexpr (kSixteenBits<E>)
      if (path_.weights()) {
        GICA_TRY(compute_scores<Walked::weights>(sample_, samples.count, strip, scores, path_, call_));
        return GICA_LAUNCH(summarise_pieces, rows, threads, 0, stream_, scores.pieces, path_.pieces, positions,
                           sample_.rows(), s_, sample_.background, to_.summary.bounds, out);
      }
    GICA_TRY(compute_scores<Walked::scores>(sample_, samples.count, strip, scores, path_, call_));
    return GICA_LAUNCH(summarise_rows, rows, threads, 0, stream_, scores.propagated, positions, sample_.rows(), s_,
                       sample_.background, to_.summary, out);
  }

  // The blocks of a slice that live.
  Outcome gather(const Samples& samples, const Strip& strip, const BlockGrid& grid) {
    const Rect& positions = strip.positions;
    const ScoreBuffers& scores = to_.scores;
    const RowOutputs rows = row_outputs(samples.first);
    uint8_t* const map = params_.live + samples.first * map_size(s_);
    const dim3 blocks(grid.count(), 1, samples.count), threads(kGatherThreads);
    if constexpr (kSixteenBits<E>)
      if (path_.weights()) {
        const PieceAttention<E> attention = {static_cast<const typename E::Stored*>(scores.weights), scores.pieces,
                                             path_.pieces, positions, rows.sum};
        return GICA_LAUNCH((gather_blocks<E, PieceAttention<E>>), blocks, threads, 0, stream_, attention,
                           to_.summary.bounds, grid, s_, to_.blocks, to_.live, map);
      }
    const Attention attention = {scores.propagated, positions, rows.max, rows.sum, sample_.rows()};
    return GICA_LAUNCH((gather_blocks<E, Attention>), blocks, threads, 0, stream_, attention, to_.summary.bounds, grid,
                       s_, to_.blocks, to_.live, map);
  }

  Outcome paste_blocks(const Samples& samples, const BlockGrid& grid) {
    if constexpr (kSixteenBits<E>)
      if (sm90_takes<E>(call_))
        return paste_sm90(E{},
                          {grid.foreground, grid.background, to_.blocks, to_.live, to_.list, to_.count,
                           params_.in.query, samples, params_.y},
                          sm90_, s_, call_.device, stream_);
    const unsigned tiles = grid.foreground.count(), z = samples.count;
    GICA_TRY(GICA_LAUNCH(list_live, dim3(tiles, 1, z), dim3(32), 0, stream_, to_.live, grid.across(), 1, grid.across(),
                         s_, to_.list, to_.count));
    using G = PasteProduct<E>;
    return GICA_LAUNCH((paste<T, E>), dim3(s_.columns / G::columns, tiles, z), dim3(G::threads), G::shared_bytes,
                       stream_, to_.blocks, sample_.pixels, LiveList{to_.list, to_.count, grid.across()}, grid, s_,
                       params_.in.query, samples.first, params_.y);
  }

  const ForwardParams& params_;
  PasteSm90Buffers sm90_{};
};

template <class E>
struct MatchBuffers : ScoreBuffers {
  static constexpr StripNeeds needs = {.both_sides = false, .slices = false};

  static MatchBuffers take(const Shape& s, const Plan& plan, const ScorePath& path, Scratch& scratch) {
    return {ScoreBuffers::take<E>(s, plan.largest(), path, scratch)};
  }
};

template <class T, class E>
class Match : public Pass<T, E, MatchBuffers<E>> {
  using Base = Pass<T, E, MatchBuffers<E>>;

 public:
  Match(const MatchParams& params, const Call& call) : Base(params.in, call, Walked::scores, false), params_(params) {}

  Outcome run() {
    return Base::each_group([&](const Samples& samples) {
      const int64_t n = samples.first;
      const RowOutputs out = {nullptr, nullptr, params_.offsets + n * 2 * s_.P,
                              static_cast<float*>(params_.scores) + n * s_.P};
      return Base::each_strip([&](const Strip& strip) -> Outcome {
        const Rect& rows = strip.positions;
        GICA_TRY(compute_scores<Walked::scores>(sample_, samples.count, strip, to_, path_, call_));
        return GICA_LAUNCH(match_rows, dim3(rows.area(), 1, samples.count), dim3(kRowThreads), 0, stream_,
                           to_.propagated, rows, sample_.rows(), s_, out);
      });
    });
  }

 private:
  using Base::call_, Base::stream_, Base::s_, Base::path_, Base::sample_, Base::to_;

  const MatchParams& params_;
};

}  // namespace gica::cuda
