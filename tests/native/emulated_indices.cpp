// Index maths of the CUDA kernels as Python functions: which position lies where, and who works on it.
#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <vector>

#include "common/plan.h"
#include "common/slots.h"
#include "common/tiles.h"
#include "emulated_bridge.h"

namespace py = pybind11;
using namespace gica::cuda;

namespace {

using Box = std::array<int, 4>;  // y0, y1, x0, x1

Rect rect(const Box& box) {
  return {box[0], box[1], box[2], box[3]};
}
Box box(const Rect& rect) {
  return {rect.y0, rect.y1, rect.x0, rect.x1};
}

Shape shape(int height, int width, int box_radius, int fuse_radius) {
  Shape s{};
  s.hf = height, s.wf = width, s.P = height * width;
  s.box_radius = box_radius, s.fuse_radius = fuse_radius;
  return s;
}

// The grid position of every slot, None in empty ones.
std::vector<std::optional<std::array<int, 2>>> tile_positions(const Box& of) {
  const TileTable tiles{rect(of)};
  std::vector<std::optional<std::array<int, 2>>> positions(tiles.count() * kTileSize);
  GridPosition at;
  for (int i = 0; i < static_cast<int>(positions.size()); ++i)
    if (tiles.position(i / kTileSize, i % kTileSize, &at)) positions[i] = {at.i, at.j};
  return positions;
}

py::list strips(int height, int width, int box_radius, int fuse_radius, StripNeeds needs, int64_t limit) {
  const Shape s = shape(height, width, box_radius, fuse_radius);
  // Stand-ins: what most of scratch and of time grows with.
  const auto slots = [&](const Plan& plan) {
    return int64_t{Slots::of(s, plan.largest().positions).gram_slots()} + plan.largest_slice().area();
  };
  const auto cost = [&](const Plan& plan) { return double(plan.count()) * double(slots(plan)); };
  const Plan plan(s, needs, limit, slots, cost);
  const auto described = [&](const Strip& strip, const std::vector<Rect>& slices) {
    py::dict out;
    out["own"] = box(strip.own), out["grid"] = box(strip.grid), out["positions"] = box(strip.positions);
    out["scored"] = box(strip.scored);
    const auto sizes = [&](const Rect& rows) {
      const Slots of = Slots::of(s, rows);
      return std::array<int, 3>{rows.area(), of.gram_slots(), of.score_slots()};
    };
    std::vector<Box> boxes;
    std::vector<int> tiles;
    for (const Rect& slice : slices) boxes.push_back(box(slice)), tiles.push_back(TileTable{slice}.count());
    out["slices"] = boxes, out["tiles"] = tiles;
    out["attended_sizes"] = sizes(strip.positions), out["scored_sizes"] = sizes(strip.scored);
    return out;
  };
  py::list all;
  for (int i = 0; i < plan.count(); ++i) {
    std::vector<Rect> slices;
    for (int k = 0; k < plan.slices(); ++k) slices.push_back(plan.slice(plan.strip(i), k));
    all.append(described(plan.strip(i), slices));
  }
  all.append(described(plan.largest(), {plan.largest_slice()}));
  return all;
}

}  // namespace

void bind_indices(py::module_& m) {
  m.def("tile_positions", &tile_positions, py::arg("box"));
  m.def("tile_find", [](const Box& box, int i, int j) { return TileTable{rect(box)}.find(i, j); });
  m.def("plain_tile", [](const Box& box, int i, int j) { return plain_tile(rect(box), i, j); });
  m.def("step_down", &step_down, py::arg("position"), py::arg("steps"), py::arg("height"), py::arg("width"));
  m.def(
      "strips",
      [](int height, int width, int box_radius, int fuse_radius, bool both_sides, bool slices, int64_t limit) {
        return strips(height, width, box_radius, fuse_radius, {both_sides, slices}, limit);
      },
      "The strips of a plan, and behind them the largest that scratch is made for.", py::arg("height"),
      py::arg("width"), py::kw_only(), py::arg("box_radius"), py::arg("fuse_radius"), py::arg("both_sides"),
      py::arg("slices"), py::arg("limit"));
  py::class_<Slots>(m, "Slots")
      .def(py::init([](const Box& strip, int height, int width, int box_radius, int fuse_radius) {
             return Slots::of(shape(height, width, box_radius, fuse_radius), rect(strip));
           }),
           py::arg("strip"), py::arg("height"), py::arg("width"), py::kw_only(), py::arg("box_radius"),
           py::arg("fuse_radius"))
      .def_property_readonly("score_groups", &Slots::score_groups)
      .def_property_readonly("score_width", &Slots::score_width)
      .def_property_readonly("gram_groups", &Slots::gram_groups)
      .def_property_readonly("gram_width", &Slots::gram_width)
      .def("score_base", [](const Slots& s, int group) { return s.score_group(group).base; })
      .def("score_shift", [](const Slots& s, int group) { return s.score_group(group).shift; })
      .def("gram_of", &Slots::gram_of)
      .def("gram_position", &Slots::gram_position);
}
