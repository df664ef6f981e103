// Importing gica_ops._C_cuda loads this library, whose static initialisers register the CUDA kernels. That starts no
// CUDA; neither does asking for the driver's version.
#include <Python.h>
#include <cuda_runtime_api.h>

namespace {

PyObject* driver_version(PyObject*, PyObject*) {
  int version = 0;  // stays so where there is no driver
  cudaDriverGetVersion(&version);
  return Py_BuildValue("ii", version / 1000, version % 1000 / 10);
}

PyMethodDef methods[] = {
    {"driver_version", driver_version, METH_NOARGS, "The newest CUDA version (major, minor) the driver supports."},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "_C_cuda", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

extern "C" __attribute__((visibility("default"))) PyObject* PyInit__C_cuda() {
  return PyModule_Create(&module);
}
