// Every schema of the library. Kernels are registered where they live; fake kernels, autograd, autocast, vmap and flop
// formulas in gica_ops/ops.py.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(gica_ops, m) {
  m.def(
      "attend(Tensor f, Tensor b, Tensor? hole, Tensor? values, Tensor? query, int ksize, int rate, int fuse_k, "
      "float softmax_scale, str semantics, bool skip, bool return_offsets, bool allow_tf32) "
      "-> (Tensor y, Tensor row_max, Tensor row_sum, Tensor live, Tensor offsets)");
  m.def(
      "attend_backward(Tensor grad_y, Tensor f, Tensor b, Tensor? hole, Tensor? values, Tensor? query, "
      "Tensor row_max, Tensor row_sum, Tensor live, int ksize, int rate, int fuse_k, float softmax_scale, "
      "str semantics, bool allow_tf32, bool need_f, bool need_b, bool need_values) -> (Tensor df, Tensor db, Tensor "
      "dvalues)");
  m.def(
      "match(Tensor f, Tensor b, Tensor? hole, Tensor? query, int ksize, int rate, int fuse_k, str semantics, "
      "bool allow_tf32) -> (Tensor offsets, Tensor scores)");
  m.def(
      "window_costs(Tensor pixels, Tensor weight, Tensor targets, Tensor sources, int height, int width, int ksize) -> "
      "Tensor");
  m.def("product(Tensor a, Tensor b, bool transposed) -> Tensor");
}
