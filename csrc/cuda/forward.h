// The forward pass and the match: strip by strip, scores, attention, live blocks, paste.
#pragma once

#include "common/sample.h"
#include "gica/cuda.h"
#include "sm90/entries.h"

namespace gica::cuda {

template <class E>
struct ForwardBuffers {
  ScoreBuffers scores;
  RowSummary summary;
  typename E::Stored* blocks;
  int *live, *list, *count;

  static ForwardBuffers take(const Shape& s, const Strip& strip, const ScorePath& path, Scratch& scratch) {
    const BlockGrid grid{{strip.grid}, {s.background_grid()}};
    ForwardBuffers to;
    to.scores = ScoreBuffers::take(s, strip.positions, path, scratch);
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
class Forward {
 public:
  Forward(const ForwardParams& params, const Call& call)
      : params_(params),
        call_(call),
        stream_(call.stream),
        s_(shape_of(params.in)),
        // Offsets are found in the scores.
        path_(ScorePath::of<E>(s_, call, params.offsets ? Walked::scores : Walked::weights)),
        plan_(
            s_, false, scratch_limit(call),
            [&](const Strip& strip) { return bytes_of<ForwardBuffers<E>>(s_, strip, path_); },
            [&](const Strip& strip) { return path_.cost(s_, strip); }),
        scratch_(call.scratch),
        sample_(params.in, s_, !sm90_takes<E>(call), scratch_),
        to_(ForwardBuffers<E>::take(s_, plan_.largest(), path_, scratch_)) {
    if (sm90_takes<E>(call)) sm90_ = PasteSm90Buffers::take(s_, {plan_.largest().grid}, call.device, scratch_);
  }

  int64_t scratch() const { return scratch_.used(); }

  Outcome run() {
    for (int n = 0; n < s_.batch; ++n) {
      GICA_TRY(sample_.prepare(n, stream_));
      if constexpr (kSixteenBits<E>)
        if (sm90_takes<E>(call_)) GICA_TRY(prepare_paste_sm90(E{}, sm90_, params_.in.values, n, s_, stream_));
      GICA_TRY(clear(map(n), map_size(), stream_));
      for (int i = 0; i < plan_.count(); ++i) GICA_TRY(run_strip(n, plan_.strip(i)));
    }
    return {};
  }

 private:
  int64_t map_size() const { return int64_t{plain_tiles(s_.foreground_grid())} * plain_tiles(s_.background_grid()); }
  uint8_t* map(int n) const { return params_.live + n * map_size(); }

  // Attention of a strip, and the blocks of it that live.
  Outcome gather(int n, const Strip& strip, const BlockGrid& grid) {
    const Rect& positions = strip.positions;
    const ScoreBuffers& scores = to_.scores;
    const RowOutputs out = {static_cast<float*>(params_.row_max) + int64_t{n} * s_.P,
                            static_cast<float*>(params_.row_sum) + int64_t{n} * s_.P,
                            params_.offsets ? params_.offsets + int64_t{n} * 2 * s_.P : nullptr, nullptr};
    const dim3 rows(positions.area()), row_threads(kRowThreads), blocks(grid.count()), threads(kGatherThreads);
    if constexpr (kSixteenBits<E>)
      if (path_.weights()) {
        GICA_TRY(compute_scores<Walked::weights>(sample_, positions, scores, path_, call_));
        GICA_TRY(GICA_LAUNCH(summarise_pieces, rows, row_threads, 0, stream_, scores.pieces, path_.pieces, positions,
                             sample_.rows(), s_, grid.background, to_.summary.bounds, out));
        const PieceAttention<E> attention = {static_cast<const typename E::Stored*>(scores.weights), scores.pieces,
                                             path_.pieces, positions, out.sum};
        return GICA_LAUNCH((gather_blocks<E, PieceAttention<E>>), blocks, threads, 0, stream_, attention,
                           to_.summary.bounds, grid, s_, to_.blocks, to_.live, map(n));
      }
    GICA_TRY(compute_scores<Walked::scores>(sample_, positions, scores, path_, call_));
    GICA_TRY(GICA_LAUNCH(summarise_rows, rows, row_threads, 0, stream_, scores.propagated, positions, sample_.rows(),
                         s_, grid.background, to_.summary, out));
    const Attention attention = {scores.propagated, positions, out.max, out.sum, sample_.rows()};
    return GICA_LAUNCH((gather_blocks<E, Attention>), blocks, threads, 0, stream_, attention, to_.summary.bounds, grid,
                       s_, to_.blocks, to_.live, map(n));
  }

  Outcome run_strip(int n, const Strip& strip) {
    const BlockGrid grid{{strip.grid}, sample_.background};
    GICA_TRY(gather(n, strip, grid));
    if constexpr (kSixteenBits<E>)
      if (sm90_takes<E>(call_))
        return paste_sm90(E{},
                          {grid.foreground, grid.background, to_.blocks, to_.live, to_.list, to_.count,
                           params_.in.query, n, params_.y},
                          sm90_, s_, call_.device, stream_);
    GICA_TRY(GICA_LAUNCH(list_live, dim3(grid.foreground.count()), dim3(32), 0, stream_, to_.live, grid.across(), 1,
                         grid.across(), to_.list, to_.count));
    using G = PasteProduct<E>;
    return GICA_LAUNCH((paste<T, E>), dim3(s_.columns / G::columns, grid.foreground.count()), dim3(G::threads),
                       G::shared_bytes, stream_, to_.blocks, sample_.pixels,
                       LiveList{to_.list, to_.count, grid.across()}, grid, s_, params_.in.query, n, params_.y);
  }

  const ForwardParams& params_;
  const Call& call_;
  void* stream_;
  const Shape s_;
  const ScorePath path_;
  const Plan plan_;
  Scratch scratch_;
  Sample<T, E> sample_;
  const ForwardBuffers<E> to_;
  PasteSm90Buffers sm90_{};
};

struct MatchBuffers : ScoreBuffers {
  static MatchBuffers take(const Shape& s, const Strip& strip, const ScorePath& path, Scratch& scratch) {
    return {ScoreBuffers::take(s, strip.positions, path, scratch)};
  }
};

template <class T, class E>
class Match {
 public:
  Match(const MatchParams& params, const Call& call)
      : params_(params),
        call_(call),
        stream_(call.stream),
        s_(shape_of(params.in)),
        path_(ScorePath::of<E>(s_, call, Walked::scores)),
        plan_(
            s_, false, scratch_limit(call),
            [&](const Strip& strip) { return bytes_of<MatchBuffers>(s_, strip, path_); },
            [&](const Strip& strip) { return path_.cost(s_, strip); }),
        scratch_(call.scratch),
        sample_(params.in, s_, false, scratch_),
        to_(MatchBuffers::take(s_, plan_.largest(), path_, scratch_)) {}

  int64_t scratch() const { return scratch_.used(); }

  Outcome run() {
    for (int n = 0; n < s_.batch; ++n) {
      GICA_TRY(sample_.prepare(n, stream_));
      const RowOutputs out = {nullptr, nullptr, params_.offsets + int64_t{n} * 2 * s_.P,
                              static_cast<float*>(params_.scores) + int64_t{n} * s_.P};
      for (int i = 0; i < plan_.count(); ++i) {
        const Rect rows = plan_.strip(i).positions;
        GICA_TRY(compute_scores<Walked::scores>(sample_, rows, to_, path_, call_));
        GICA_TRY(GICA_LAUNCH(match_rows, dim3(rows.area()), dim3(kRowThreads), 0, stream_, to_.propagated, rows,
                             sample_.rows(), s_, out));
      }
    }
    return {};
  }

 private:
  const MatchParams& params_;
  const Call& call_;
  void* stream_;
  const Shape s_;
  const ScorePath path_;
  const Plan plan_;
  Scratch scratch_;
  Sample<T, E> sample_;
  const MatchBuffers to_;
};

template <class Pass, class Params>
Outcome run_or_measure(const Params& params, const Call& call, int64_t* scratch) {
  Pass pass(params, call);
  if (!scratch) return pass.run();
  *scratch = pass.scratch();
  return {};
}

}  // namespace gica::cuda
