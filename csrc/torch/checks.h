// From tensors to the structs of layer 1. The sentences for users are in gica_ops/checks.py; what is checked here keeps
// a wrong direct call of an operator from reading outside its tensors.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <optional>
#include <string>

#include "gica/geometry.h"
#include "gica/params.h"

namespace gica {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline Dtype dtype_of(const Tensor& t) {
  switch (t.scalar_type()) {
    case ScalarType::Float: return Dtype::float32;
    case ScalarType::Double: return Dtype::float64;
    case ScalarType::BFloat16: return Dtype::bfloat16;
    case ScalarType::Half: return Dtype::float16;
    default: STD_TORCH_CHECK(false, "expected float32, float64, bfloat16 or float16 tensors");
  }
  return Dtype::float32;
}

inline ScalarType arithmetic_type(Dtype dtype) {
  return dtype == Dtype::float64 ? ScalarType::Double : ScalarType::Float;
}

inline Image image_of(const Tensor& t) {
  STD_TORCH_CHECK(t.dim() == 4 && t.numel() > 0, "expected a non-empty tensor of four dimensions");
  Image image;
  image.data = t.data_ptr();
  image.batch = t.size(0), image.channels = t.size(1), image.height = t.size(2), image.width = t.size(3);
  for (int i = 0; i < 4; ++i) image.stride[i] = t.stride(i);
  return image;
}

inline Mask mask_of(const std::optional<Tensor>& t, const Image& like, const char* name) {
  if (!t.has_value()) return {};
  STD_TORCH_CHECK(t->scalar_type() == ScalarType::Bool, name, " must be a bool tensor");
  STD_TORCH_CHECK(t->dim() == 4 && (t->size(0) == 1 || t->size(0) == like.batch) && t->size(1) == 1 &&
                      t->size(2) == like.height && t->size(3) == like.width,
                  name, " must have shape (1 or batch, 1, height, width) of its image");
  return {static_cast<const uint8_t*>(t->data_ptr()), t->size(0) == 1 ? 0 : t->stride(0), t->stride(2), t->stride(3)};
}

inline Semantics semantics_of(const std::string& name) {
  if (name == "tf") return Semantics::tf;
  if (name == "torch") return Semantics::torch;
  STD_TORCH_CHECK(name == "mmagic", "semantics must be 'tf', 'torch' or 'mmagic'");
  return Semantics::mmagic;
}

inline Options options_of(int64_t ksize, int64_t rate, int64_t fuse_k, const std::string& semantics) {
  STD_TORCH_CHECK(ksize > 0 && ksize % 2 == 1 && ksize < 64, "ksize must be odd and from 1 to 63");
  STD_TORCH_CHECK(fuse_k > 0 && fuse_k % 2 == 1 && fuse_k < 64, "fuse_k must be odd and from 1 to 63");
  STD_TORCH_CHECK(rate > 0, "rate must be positive");
  Options options;
  options.ksize = static_cast<int>(ksize), options.rate = static_cast<int>(rate),
  options.fuse_k = static_cast<int>(fuse_k);
  options.semantics = semantics_of(semantics);
  return options;
}

inline Inputs inputs_of(const Tensor& f, const Tensor& b, const std::optional<Tensor>& hole,
                        const std::optional<Tensor>& values, const std::optional<Tensor>& query,
                        const Options& options) {
  const auto beside_f = [&](const std::optional<Tensor>& t) { return !t.has_value() || t->device() == f.device(); };
  STD_TORCH_CHECK(b.device() == f.device() && beside_f(hole) && beside_f(values) && beside_f(query),
                  "all tensors must be on the device of f");
  Inputs in;
  in.dtype = dtype_of(f);
  in.f = image_of(f), in.b = image_of(b), in.values = image_of(values.has_value() ? *values : b);
  in.separate_values = values.has_value();
  in.options = options;
  STD_TORCH_CHECK(
      b.scalar_type() == f.scalar_type() && (!values.has_value() || values->scalar_type() == f.scalar_type()),
      "f, b and values must have one dtype");
  STD_TORCH_CHECK(in.f.batch == in.b.batch && in.f.channels == in.b.channels && in.values.batch == in.b.batch,
                  "f, b and values must have one batch size, f and b the same channels");
  STD_TORCH_CHECK(in.f.height % options.rate == 0 && in.f.width % options.rate == 0 &&
                      in.b.height % options.rate == 0 && in.b.width % options.rate == 0,
                  "rate must divide the sizes of f and b");
  const int64_t scale = in.values.height / in.b.height;
  STD_TORCH_CHECK(scale > 0 && in.values.height == scale * in.b.height && in.values.width == scale * in.b.width,
                  "values must be a whole number of times as large as b");
  in.hole = mask_of(hole, in.b, "hole");
  in.query = mask_of(query, in.f, "query");
  return in;
}

}  // namespace gica
