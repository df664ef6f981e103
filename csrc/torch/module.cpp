// Importing gica_ops._C loads this library, whose static initialisers register the operators. The module itself only
// tells which instruction set the CPU kernels use, and what the build knew about CUDA.
#include <Python.h>

#include "gica/kernels.h"

namespace {

PyObject* cpu_capability(PyObject*, PyObject*) {
  return PyUnicode_FromString(gica::cpu::best_kernels()->name);
}

PyObject* cuda_build(PyObject*, PyObject*) {
  return Py_BuildValue("sss", GICA_CUDA_VERSION, GICA_CUDA_ARCHITECTURES, GICA_CUDA_OFF);
}

PyMethodDef methods[] = {
    {"cpu_capability", cpu_capability, METH_NOARGS, "The instruction set the CPU kernels use on this machine."},
    {"cuda_build", cuda_build, METH_NOARGS, "Version of CUDA and architectures, or why there are no CUDA kernels."},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "_C", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

extern "C" __attribute__((visibility("default"))) PyObject* PyInit__C() {
  return PyModule_Create(&module);
}
