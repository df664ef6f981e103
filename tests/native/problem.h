// Problems as Python objects, and what every bridge from NumPy needs.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "gica/params.h"

namespace py = pybind11;

namespace {

// bfloat16 travels as its bits, in uint16.
gica::Dtype dtype_of(const py::array& array) {
  switch (array.dtype().char_()) {
    case 'f': return gica::Dtype::float32;
    case 'd': return gica::Dtype::float64;
    case 'e': return gica::Dtype::float16;
    case 'H': return gica::Dtype::bfloat16;
    default: throw py::type_error("float32, float64, float16, or uint16 for bfloat16");
  }
}

// Filled with one byte over and over; 0xff makes it NaN, or -1.
py::array poisoned(const py::dtype& dtype, const std::vector<py::ssize_t>& shape, int byte = 0xff) {
  py::array array(dtype, shape);
  std::memset(array.mutable_data(), byte, static_cast<size_t>(array.nbytes()));
  return array;
}

gica::Image image(const py::array& array) {
  if (array.ndim() != 4) throw py::value_error("images have 4 dimensions");
  gica::Image out;
  out.data = const_cast<void*>(array.data());
  out.batch = array.shape(0), out.channels = array.shape(1), out.height = array.shape(2), out.width = array.shape(3);
  for (int axis = 0; axis < 4; ++axis) out.stride[axis] = array.strides(axis) / array.itemsize();
  return out;
}

gica::Mask mask(const std::optional<py::array_t<bool>>& array) {
  if (!array) return {};
  return {reinterpret_cast<const uint8_t*>(array->data()), array->shape(0) == 1 ? 0 : array->strides(0),
          array->strides(2), array->strides(3)};
}

gica::Semantics semantics(const std::string& name) {
  if (name == "tf") return gica::Semantics::tf;
  if (name == "torch") return gica::Semantics::torch;
  if (name == "mmagic") return gica::Semantics::mmagic;
  throw py::value_error("semantics: tf, torch or mmagic");
}

// A problem as a Python object, so that its arrays outlive the calls.
struct Problem {
  py::array f, b;
  std::optional<py::array> values;
  std::optional<py::array_t<bool>> hole, query;
  gica::Options options;

  gica::Inputs inputs() const {
    gica::Inputs in;
    in.dtype = dtype_of(f);
    in.f = image(f), in.b = image(b), in.values = values ? image(*values) : in.b;
    in.separate_values = values.has_value();
    in.hole = mask(hole), in.query = mask(query);
    in.options = options;
    return in;
  }
  py::dtype accumulator() const {
    return dtype_of(f) == gica::Dtype::float64 ? py::dtype::of<double>() : py::dtype::of<float>();
  }
};

Problem make_problem(py::array f, py::array b, std::optional<py::array> values, std::optional<py::array_t<bool>> hole,
                     std::optional<py::array_t<bool>> query, int ksize, int rate, int fuse_k, double softmax_scale,
                     const std::string& variant, bool skip, int64_t strip_bytes) {
  gica::Options options;
  options.ksize = ksize, options.rate = rate, options.fuse_k = fuse_k, options.softmax_scale = softmax_scale;
  options.semantics = semantics(variant), options.skip = skip, options.strip_bytes = strip_bytes;
  return {std::move(f), std::move(b), std::move(values), std::move(hole), std::move(query), options};
}

inline void bind_problem(py::module_& m) {
  py::class_<Problem>(m, "Problem")
      .def(py::init(&make_problem), py::arg("f"), py::arg("b"), py::arg("values") = py::none(), py::kw_only(),
           py::arg("hole") = py::none(), py::arg("query") = py::none(), py::arg("ksize") = 3, py::arg("rate") = 1,
           py::arg("fuse_k") = 3, py::arg("softmax_scale") = 10.0, py::arg("semantics") = "tf", py::arg("skip") = true,
           py::arg("strip_bytes") = 0);
}

}  // namespace
