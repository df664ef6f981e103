// What every pass is made of, and how it goes through a batch: small samples side by side, large ones one by one, each
// strip by strip.
#pragma once

#include "common/sample.h"

namespace gica::cuda {

// Buffers: what a strip and a slice of it need; Buffers::take(shape, plan, path, scratch), and Buffers::needs of Plan.
template <class T, class E, class Buffers>
class Pass {
 public:
  int64_t scratch() const { return together_ * scratch_.used(); }

 protected:
  // pasted: see Sample.
  Pass(const Inputs& in, const Call& call, Walked walked, bool pasted)
      : call_(call),
        stream_(call.stream),
        s_(shape_of(in)),
        path_(ScorePath::of<E>(s_, call, walked)),
        plan_(
            s_, Buffers::needs, limit(), [this](const Plan& plan) { return bytes_of(plan); },
            [this](const Plan& plan) {
              return plan.count() * (path_.cost(s_, plan.largest()) + cost_of_slices(plan));
            }),
        together_(samples_together()),
        scratch_(call.scratch),
        sample_(in, s_, pasted, scratch_),
        to_(Buffers::take(s_, plan_, path_, scratch_)) {}

  // work(samples), for all of the batch. What a pass needs beside has been taken from scratch by then.
  template <class Work>
  Outcome each_group(const Work& work) {
    s_.scratch_stride = scratch_.used();
    for (int n = 0; n < s_.batch; n += together_) {
      const Samples samples = {n, smaller(together_, s_.batch - n)};
      GICA_TRY(sample_.prepare(samples, stream_));
      GICA_TRY(work(samples));
    }
    return {};
  }
  // work(strip), for all of a sample.
  template <class Work>
  Outcome each_strip(const Work& work) {
    for (int i = 0; i < plan_.count(); ++i) GICA_TRY(work(plan_.strip(i)));
    return {};
  }

  const Call& call_;
  void* stream_;
  Shape s_;
  const ScorePath path_;
  const Plan plan_;
  const int together_;  // samples
  Scratch scratch_;     // of one sample
  Sample<T, E> sample_;
  const Buffers to_;

 private:
  int64_t limit() const { return call_.scratch_limit > 0 ? call_.scratch_limit : int64_t{256} << 20; }

  int64_t bytes_of(const Plan& plan) const {
    Scratch counted(nullptr);
    Buffers::take(s_, plan, path_, counted);
    return counted.used();
  }

  // Beside the scores', and in their unit: what gathering and pasting the blocks of a strip take, a tile about as long
  // as a step. A slice of few tiles keeps a part of the device busy, and takes as long as one that has enough.
  double cost_of_slices(const Plan& plan) const {
    if (!Buffers::needs.slices) return 0;
    const int parts = s_.columns / PasteProduct<E>::columns;
    const int enough =
        sm90_takes<E>(call_) ? kSharingTiles : static_cast<int>(ceil_div(2 * call_.device.multiprocessors, parts));
    const int tiles = TileTable{plan.largest_slice()}.whole();
    return double(plan.slices()) * round_up(larger(tiles, enough), kSharingTiles);
  }

  // Samples of a single strip leave multiprocessors idle, and launches are most of their time.
  int samples_together() const {
    if (plan_.count() > 1) return 1;
    constexpr int64_t most_of_launch = 65535;
    const int64_t room = limit() / bytes_of(plan_);
    const int64_t most = larger<int64_t>(1, smaller(smaller<int64_t>(s_.batch, most_of_launch), room));
    return static_cast<int>(ceil_div(s_.batch, ceil_div(s_.batch, most)));
  }
};

template <class P, class Params>
Outcome run_or_measure(const Params& params, const Call& call, int64_t* scratch) {
  P pass(params, call);
  if (!scratch) return pass.run();
  *scratch = pass.scratch();
  return {};
}

}  // namespace gica::cuda
