// The CUDA kernels, compiled for the host and run by the emulator, as functions of NumPy arrays. Outputs and scratch
// are poisoned before each run.
#include "emulated_bridge.h"

#include <cstdlib>
#include <memory>
#include <set>
#include <stdexcept>

#include "emulator/options.h"
#include "gica/cuda.h"
#include "gica/geometry.h"
#include "problem.h"

namespace {

using gica::cuda::Call;
using gica::cuda::Device;
using gica::cuda::Family;
using gica::cuda::Outcome;

struct Schedule {
  std::string family;
  bool allow_tf32, generic, eager;
  int seed, threads;
  int64_t scratch_limit;
  int poison;  // the byte that outputs and scratch are full of
};

Call call_of(const Schedule& schedule) {
  emulator::set_eager(schedule.eager);
  emulator::set_seed(schedule.seed);
  emulator::set_threads(schedule.threads);
  Call call;
  const bool hopper = schedule.family == "sm90";
  if (!hopper && schedule.family != "sm80") throw py::value_error("family: sm80 or sm90");
  call.device = {hopper ? 9 : 8, 0, 8, (hopper ? 227 : 99) << 10, 32 << 20};
  call.family = hopper ? Family::sm90 : Family::sm80;
  call.allow_tf32 = schedule.allow_tf32;
  call.generic_only = schedule.generic;
  call.scratch_limit = schedule.scratch_limit;
  return call;
}

void check(const Outcome& outcome) {
  if (outcome.error) throw std::runtime_error(outcome.what);
}

void check_problem(const gica::Inputs& in, const Call& call) {
  if (const char* why = gica::cuda::refusal(in, call.device)) throw py::value_error(why);
}

// Memory a little larger than asked for: what is written behind the end is found.
class Scratch {
 public:
  Scratch(int64_t bytes, int poison) : bytes_(bytes), poison_(poison), memory_(std::aligned_alloc(256, allocated())) {
    std::memset(memory_.get(), poison, allocated());
  }
  void* data() const { return memory_.get(); }
  void check() const {
    const auto* memory = static_cast<const unsigned char*>(memory_.get());
    for (size_t i = bytes_; i < allocated(); ++i)
      if (memory[i] != poison_) throw std::runtime_error("a kernel wrote behind the end of its scratch");
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  size_t allocated() const { return static_cast<size_t>((bytes_ + 511) / 256 * 256); }

  int64_t bytes_;
  int poison_;
  std::unique_ptr<void, Free> memory_;
};

// A poisoned image, channels last where `like` is.
py::array image_like(const py::array& like, const std::vector<py::ssize_t>& shape, int poison) {
  if (like.strides(1) != like.itemsize() || like.shape(1) == 1) return poisoned(like.dtype(), shape, poison);
  const py::array last = poisoned(like.dtype(), {shape[0], shape[2], shape[3], shape[1]}, poison);
  return last.attr("transpose")(0, 3, 1, 2).cast<py::array>();
}

py::dict forward(const Problem& problem, const Schedule& schedule, bool offsets_too) {
  const gica::Inputs in = problem.inputs();
  Call call = call_of(schedule);
  check_problem(in, call);
  const gica::Geometry g(in);
  const int64_t scale = in.values.height / in.b.height;
  const auto make = [&](const py::dtype& dtype, const std::vector<py::ssize_t>& shape) {
    return poisoned(dtype, shape, schedule.poison);
  };
  py::array y =
      image_like(problem.f, {g.batch, g.value_channels, scale * in.f.height, scale * in.f.width}, schedule.poison);
  py::array row_max = make(py::dtype::of<float>(), {g.batch, g.hf, g.wf});
  py::array row_sum = make(py::dtype::of<float>(), {g.batch, g.hf, g.wf});
  py::array live =
      make(py::dtype::of<uint8_t>(), {g.batch, gica::cuda::live_tiles(g.hf, g.wf), gica::cuda::live_tiles(g.hb, g.wb)});
  py::array offsets = make(py::dtype::of<int64_t>(), {g.batch, 2, g.hf, g.wf});
  gica::ForwardParams params{in,
                             image(y),
                             row_max.mutable_data(),
                             row_sum.mutable_data(),
                             static_cast<uint8_t*>(live.mutable_data()),
                             offsets_too ? static_cast<int64_t*>(offsets.mutable_data()) : nullptr};
  Scratch scratch(gica::cuda::forward_scratch(params, call), schedule.poison);
  call.scratch = scratch.data();
  check(gica::cuda::forward(params, call));
  scratch.check();
  py::dict out;
  out["y"] = y, out["row_max"] = row_max, out["row_sum"] = row_sum, out["live"] = live;
  if (offsets_too) out["offsets"] = offsets;
  return out;
}

// row_max, row_sum and live as the forward returned them. wanted: which gradients, of "f", "b" and "values".
py::dict backward(const Problem& problem, const py::array& grad_y, const py::array_t<float>& row_max,
                  const py::array_t<float>& row_sum, const py::array_t<uint8_t>& live, const Schedule& schedule,
                  const std::set<std::string>& wanted) {
  const gica::Inputs in = problem.inputs();
  Call call = call_of(schedule);
  check_problem(in, call);
  py::dict out;
  gica::BackwardParams params{in, image(grad_y), live.data(), {}, {}, {}};
  auto add = [&](const char* key, const py::array& input, gica::Image& gradient) {
    if (!wanted.count(key)) return;
    py::array array =
        image_like(input, {input.shape(0), input.shape(1), input.shape(2), input.shape(3)}, schedule.poison);
    gradient = image(array);
    out[key] = array;
  };
  add("f", problem.f, params.grad_f);
  add("b", problem.b, params.grad_b);
  if (problem.values) add("values", *problem.values, params.grad_values);
  Scratch scratch(gica::cuda::backward_scratch(params, call), schedule.poison);
  call.scratch = scratch.data();
  check(gica::cuda::backward(params, row_max.data(), row_sum.data(), call));
  scratch.check();
  return out;
}

py::dict match(const Problem& problem, const Schedule& schedule) {
  const gica::Inputs in = problem.inputs();
  Call call = call_of(schedule);
  check_problem(in, call);
  const gica::Geometry g(in);
  py::array offsets = poisoned(py::dtype::of<int64_t>(), {g.batch, 2, g.hf, g.wf}, schedule.poison);
  py::array scores = poisoned(py::dtype::of<float>(), {g.batch, g.hf, g.wf}, schedule.poison);
  gica::MatchParams params{in, static_cast<int64_t*>(offsets.mutable_data()), scores.mutable_data()};
  Scratch scratch(gica::cuda::match_scratch(params, call), schedule.poison);
  call.scratch = scratch.data();
  check(gica::cuda::match(params, call));
  scratch.check();
  py::dict out;
  out["offsets"] = offsets, out["scores"] = scores;
  return out;
}

// Bytes of scratch of a forward and a match.
py::tuple scratch(const Problem& problem, const Schedule& schedule) {
  const gica::Inputs in = problem.inputs();
  const Call call = call_of(schedule);
  gica::ForwardParams forward;
  forward.in = in;
  gica::MatchParams match;
  match.in = in;
  return py::make_tuple(gica::cuda::forward_scratch(forward, call), gica::cuda::match_scratch(match, call));
}

}  // namespace

PYBIND11_MODULE(gica_emulated, m) {
  bind_problem(m);
  bind_indices(m);
  py::class_<Schedule>(m, "Schedule")
      .def(py::init([](const std::string& family, bool allow_tf32, bool generic, bool eager, int seed, int threads,
                       int64_t scratch_limit, int poison) {
             return Schedule{family, allow_tf32, generic, eager, seed, threads, scratch_limit, poison};
           }),
           py::arg("family") = "sm80", py::kw_only(), py::arg("allow_tf32") = false, py::arg("generic") = false,
           py::arg("eager") = false, py::arg("seed") = 0, py::arg("threads") = 2, py::arg("scratch_limit") = 0,
           py::arg("poison") = 0xff);
  const auto schedule = py::arg("schedule") = Schedule{"sm80", false, false, false, 0, 2, 0, 0xff};
  m.def("forward", &forward, py::arg("problem"), schedule, py::arg("offsets") = true);
  m.def("backward", &backward, py::arg("problem"), py::arg("grad_y"), py::arg("row_max"), py::arg("row_sum"),
        py::arg("live"), schedule, py::arg("wanted") = std::set<std::string>{"f", "b", "values"});
  m.def("match", &match, py::arg("problem"), schedule);
  m.def("scratch", &scratch, py::arg("problem"), schedule);
}
