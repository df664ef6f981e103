// Layer 1 as functions of NumPy arrays, for the tests. Outputs are poisoned before each run.
#include <atomic>
#include <limits>
#include <thread>

#include "gica/geometry.h"
#include "gica/kernels.h"
#include "gica/strips.h"
#include "problem.h"

using gica::cpu::Kernels;

namespace {

// A loop over threads started for the occasion. In reverse, tasks are taken last first: a kernel that leans on their
// order shows it.
struct Threads {
  int workers;
  bool reverse;

  static void run(void* context, int64_t tasks, gica::ParallelFor::Body body, void* argument) {
    const auto& self = *static_cast<const Threads*>(context);
    std::atomic<int64_t> next{0};
    auto work = [&](int worker) {
      for (int64_t i; (i = next++) < tasks;) body(argument, self.reverse ? tasks - 1 - i : i, worker);
    };
    std::vector<std::thread> threads;
    for (int worker = 1; worker < self.workers; ++worker) threads.emplace_back(work, worker);
    work(0);
    for (auto& thread : threads) thread.join();
  }
  gica::ParallelFor loop() { return {this, workers, &run}; }
};

const Kernels& table(const std::string& name) {
  const Kernels* found = gica::cpu::kernels_named(name.c_str());
  if (found == nullptr) throw py::value_error("this processor or build has no kernels named " + name);
  return *found;
}

void check(gica::Status status) {
  if (status == gica::Status::out_of_memory) throw std::bad_alloc();
  if (status != gica::Status::ok) throw py::value_error("the kernel does not support this problem");
}

py::dict forward(const Problem& problem, const std::string& name, int workers, bool reverse) {
  const gica::Inputs in = problem.inputs();
  const gica::Geometry g(in);
  const int64_t scale = in.values.height / in.b.height;
  py::array y = poisoned(problem.f.dtype(), {g.batch, g.value_channels, scale * in.f.height, scale * in.f.width});
  py::array row_max = poisoned(problem.accumulator(), {g.batch, g.hf, g.wf});
  py::array row_sum = poisoned(problem.accumulator(), {g.batch, g.hf, g.wf});
  py::array live =
      poisoned(py::dtype::of<uint8_t>(), {g.batch, g.foreground_tiles.count(), g.background_tiles.count()});
  py::array offsets = poisoned(py::dtype::of<int64_t>(), {g.batch, 2, g.hf, g.wf});
  gica::ForwardParams params{in,
                             image(y),
                             row_max.mutable_data(),
                             row_sum.mutable_data(),
                             static_cast<uint8_t*>(live.mutable_data()),
                             static_cast<int64_t*>(offsets.mutable_data())};
  Threads threads{workers, reverse};
  check(table(name).forward(params, threads.loop()));
  py::dict out;
  out["y"] = y, out["row_max"] = row_max, out["row_sum"] = row_sum, out["live"] = live, out["offsets"] = offsets;
  return out;
}

// `live` as the forward returned it.
py::dict backward(const Problem& problem, const py::array& grad_y, const py::array_t<uint8_t>& live,
                  const std::string& name, int workers, bool reverse) {
  const gica::Inputs in = problem.inputs();
  auto like = [](const py::array& array) {
    return poisoned(array.dtype(), {array.shape(0), array.shape(1), array.shape(2), array.shape(3)});
  };
  py::dict out;
  gica::BackwardParams params{in, image(grad_y), live.data(), {}, {}, {}};
  auto add = [&](const char* key, const py::array& input, gica::Image& gradient) {
    py::array array = like(input);
    gradient = image(array);
    out[key] = array;
  };
  add("grad_f", problem.f, params.grad_f);
  add("grad_b", problem.b, params.grad_b);
  if (problem.values) add("grad_values", *problem.values, params.grad_values);
  Threads threads{workers, reverse};
  check(table(name).backward(params, threads.loop()));
  return out;
}

py::dict match(const Problem& problem, const std::string& name, int workers, bool reverse) {
  const gica::Inputs in = problem.inputs();
  const gica::Geometry g(in);
  py::array offsets = poisoned(py::dtype::of<int64_t>(), {g.batch, 2, g.hf, g.wf});
  py::array scores = poisoned(problem.accumulator(), {g.batch, g.hf, g.wf});
  gica::MatchParams params{in, static_cast<int64_t*>(offsets.mutable_data()), scores.mutable_data()};
  Threads threads{workers, reverse};
  check(table(name).match(params, threads.loop()));
  py::dict out;
  out["offsets"] = offsets, out["scores"] = scores;
  return out;
}

// pixels: (height, width, channels).
py::array window_costs(const std::string& name, const py::array_t<float, py::array::c_style>& pixels,
                       const py::array_t<float, py::array::c_style>& weight,
                       const py::array_t<int64_t, py::array::c_style>& targets,
                       const py::array_t<int64_t, py::array::c_style>& sources, int ksize, int workers) {
  py::array costs = poisoned(py::dtype::of<float>(), {targets.size()});
  gica::WindowParams params{
      pixels.data(),  weight.data(),   targets.data(),  sources.data(), static_cast<float*>(costs.mutable_data()),
      targets.size(), pixels.shape(2), pixels.shape(1), ksize};
  Threads threads{workers, false};
  check(table(name).window_costs(params, threads.loop()));
  return costs;
}

// Written to `out` where it is given, which is not poisoned then: benchmarks measure the product alone.
py::array product(const std::string& name, const py::array& a, const py::array& b, bool transposed, int workers,
                  std::optional<py::array> out) {
  const auto dtype = dtype_of(a);
  const int64_t m = a.shape(0), k = a.shape(1), n = b.shape(transposed ? 0 : 1);
  py::array c = out ? *out : poisoned(a.dtype(), {m, n});
  for (const py::array& array : {a, b, c})
    if (!(array.flags() & py::array::c_style) || dtype_of(array) != dtype)
      throw py::type_error("dense arrays, one dtype");
  if (b.shape(transposed ? 1 : 0) != k || c.shape(0) != m || c.shape(1) != n) throw py::value_error("sizes differ");
  Threads threads{workers, false};
  check(table(name).product(dtype, m, n, k, a.data(), b.data(), transposed, c.mutable_data(), threads.loop()));
  return c;
}

std::vector<std::string> available() {
  std::vector<std::string> names;
  for (const char* name : {"baseline", "avx2", "avx512"})
    if (gica::cpu::kernels_named(name) != nullptr) names.emplace_back(name);
  return names;
}

}  // namespace

PYBIND11_MODULE(gica_bridge, m) {
  m.def("available", &available);
  m.def("best", [] { return std::string(gica::cpu::best_kernels()->name); });

  bind_problem(m);
  const auto name = py::arg("kernels");
  const auto workers = py::arg("workers") = 1, reverse = py::arg("reverse") = false;
  m.def("forward", &forward, py::arg("problem"), name, workers, reverse);
  m.def("backward", &backward, py::arg("problem"), py::arg("grad_y"), py::arg("live"), name, workers, reverse);
  m.def("match", &match, py::arg("problem"), name, workers, reverse);
  m.def("window_costs", &window_costs, name, py::arg("pixels"), py::arg("weight"), py::arg("targets"),
        py::arg("sources"), py::arg("ksize"), workers);
  m.def("product", &product, name, py::arg("a"), py::arg("b"), py::arg("transposed") = false, workers,
        py::arg("out") = py::none());

  m.def("reduced_index", [](int64_t n_in, int64_t n_out, const std::string& variant) {
    py::array_t<int64_t> index(n_out);
    for (int64_t i = 0; i < n_out; ++i) index.mutable_at(i) = gica::reduced_index(i, n_in, n_out, semantics(variant));
    return index;
  });
  m.def("tiles", [](int64_t positions) {
    const gica::TileAxis axis{positions};
    std::vector<std::pair<int64_t, int64_t>> tiles;
    for (int64_t tile = 0; tile < axis.count(); ++tile) tiles.emplace_back(axis.begin(tile), axis.end(tile));
    return tiles;
  });
  // Per strip: its tiles and its positions, each as (y0, y1, x0, x1).
  m.def("strips", [](const Problem& problem, int64_t row_bytes, int64_t bytes) {
    const gica::Geometry size(problem.inputs());
    const gica::StripPlan plan(size, row_bytes, bytes);
    auto box = [](const gica::Box& b) { return std::make_tuple(b.y0, b.y1, b.x0, b.x1); };
    std::vector<std::pair<decltype(box({})), decltype(box({}))>> strips;
    for (int64_t i = 0; i < plan.count(); ++i) {
      const gica::Strip strip = plan.strip(i);
      strips.emplace_back(box(strip.tiles), box(strip.positions));
      if (strip.positions.area() > plan.most_positions())
        throw std::runtime_error("a strip passes the plan's own limit");
    }
    return strips;
  });
  m.def("column_major", [](int64_t row, int64_t height) {
    const auto position = gica::column_major(row, height);
    return std::make_pair(position.row, position.shift);
  });
}
