// Parts of the module gica_emulated.
#pragma once

#include <pybind11/pybind11.h>

// Index maths of the CUDA kernels (emulated_indices.cpp).
void bind_indices(pybind11::module_& m);
