// Importing gica_ops._C loads this library, whose static initialisers register the operators. The module itself only
// tells which instruction set the CPU kernels use.
#include <Python.h>

#include "gica/kernels.h"

namespace {

PyObject* cpu_capability(PyObject*, PyObject*) {
  return PyUnicode_FromString(gica::cpu::best_kernels()->name);
}

PyMethodDef methods[] = {
    {"cpu_capability", cpu_capability, METH_NOARGS, "The instruction set the CPU kernels use on this machine."},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "_C", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

extern "C" __attribute__((visibility("default"))) PyObject* PyInit__C() {
  return PyModule_Create(&module);
}
