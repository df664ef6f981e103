// What the operators return, allocated on the device of their inputs, and the structs of layer 1 that point at it.
#pragma once

#include <exception>
#include <initializer_list>
#include <tuple>
#include <utility>

#include "checks.h"

namespace gica {

using torch::headeronly::MemoryFormat;

// A failure inside PyTorch comes back without its message, which has been logged.
inline Tensor empty(const Tensor& where, std::initializer_list<int64_t> sizes, ScalarType type,
                    std::optional<MemoryFormat> format = std::nullopt) {
  try {
    return torch::stable::empty(torch::headeronly::IntHeaderOnlyArrayRef(sizes.begin(), sizes.size()), type,
                                std::nullopt, where.device(), std::nullopt, format);
  } catch (const std::exception&) {
    std::string shape;
    for (int64_t size : sizes) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
    STD_TORCH_CHECK(false, "gica_ops: PyTorch could not allocate a tensor of shape (", shape,
                    ") on the device of f: is it out of memory?");
  }
}

inline bool is_channels_last(const Tensor& t) {
  return t.stride(1) == 1 && t.stride(3) == t.size(1) && t.stride(2) == t.size(1) * t.size(3) &&
         t.stride(0) == t.size(1) * t.size(2) * t.size(3) && !t.is_contiguous();
}

inline Tensor empty_image(const Tensor& like, int64_t channels, int64_t height, int64_t width) {
  return empty(like, {like.size(0), channels, height, width}, like.scalar_type(),
               is_channels_last(like) ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
}
inline Tensor empty_image_like(const Tensor& like) {
  return empty_image(like, like.size(1), like.size(2), like.size(3));
}

// How many tiles of the foreground's and of the background's grid a device's kernels tell live from dead.
using LiveTiles = std::pair<int64_t, int64_t> (*)(const Geometry&);

struct Attend {
  ForwardParams params;
  Tensor y, row_max, row_sum, live, offsets;

  using Results = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;
  Results results() const { return {y, row_max, row_sum, live, offsets}; }
};

inline Attend prepare_attend(const Tensor& f, const Inputs& in, LiveTiles live_tiles, bool return_offsets) {
  const Geometry size(in);
  const int64_t scale = size.phases / in.options.rate;
  const ScalarType arithmetic = arithmetic_type(in.dtype);
  const auto [rows, columns] = live_tiles(size);
  Tensor offsets =
      return_offsets ? empty(f, {size.batch, 2, size.hf, size.wf}, ScalarType::Long) : empty(f, {0}, ScalarType::Long);
  Attend call{{},
              empty_image(f, size.value_channels, scale * f.size(2), scale * f.size(3)),
              empty(f, {size.batch, size.hf, size.wf}, arithmetic),
              empty(f, {size.batch, size.hf, size.wf}, arithmetic),
              empty(f, {size.batch, rows, columns}, ScalarType::Byte),
              offsets};
  call.params.in = in;
  call.params.y = image_of(call.y);
  call.params.row_max = call.row_max.data_ptr(), call.params.row_sum = call.row_sum.data_ptr();
  call.params.live = static_cast<uint8_t*>(call.live.data_ptr());
  call.params.offsets = return_offsets ? static_cast<int64_t*>(offsets.data_ptr()) : nullptr;
  return call;
}

struct AttendBackward {
  BackwardParams params;
  Tensor df, db, dvalues;

  using Results = std::tuple<Tensor, Tensor, Tensor>;
  Results results() const { return {df, db, dvalues}; }
};

// What is not needed is an empty tensor of one dimension.
struct Needed {
  bool f, b, values;
};

inline AttendBackward prepare_backward(const Tensor& grad_y, const Tensor& f, const Tensor& b,
                                       const std::optional<Tensor>& values, const Tensor& live, const Inputs& in,
                                       LiveTiles live_tiles, Needed need) {
  const Geometry size(in);
  const auto [rows, columns] = live_tiles(size);
  need.values = need.values && values.has_value();
  AttendBackward call{{},
                      need.f ? empty_image_like(f) : empty(f, {0}, f.scalar_type()),
                      need.b ? empty_image_like(b) : empty(f, {0}, f.scalar_type()),
                      need.values ? empty_image_like(*values) : empty(f, {0}, f.scalar_type())};
  call.params.in = in;
  call.params.grad_y = image_of(grad_y);
  const Image& g = call.params.grad_y;
  STD_TORCH_CHECK(grad_y.device() == f.device() && grad_y.scalar_type() == f.scalar_type() && g.batch == size.batch &&
                      g.channels == size.value_channels && g.height == size.phases * size.hf &&
                      g.width == size.phases * size.wf,
                  "grad_y must have the shape, dtype and device of the output");
  STD_TORCH_CHECK(live.device() == f.device() && live.scalar_type() == ScalarType::Byte && live.is_contiguous() &&
                      live.numel() == size.batch * rows * columns,
                  "live must be what the forward returned");
  call.params.live = static_cast<const uint8_t*>(live.data_ptr());
  if (need.f) call.params.grad_f = image_of(call.df);
  if (need.b) call.params.grad_b = image_of(call.db);
  if (need.values) call.params.grad_values = image_of(call.dvalues);
  return call;
}

struct Matched {
  MatchParams params;
  Tensor offsets, scores;

  using Results = std::tuple<Tensor, Tensor>;
  Results results() const { return {offsets, scores}; }
};

inline Matched prepare_match(const Tensor& f, const Inputs& in) {
  const Geometry size(in);
  Matched call{{},
               empty(f, {size.batch, 2, size.hf, size.wf}, ScalarType::Long),
               empty(f, {size.batch, size.hf, size.wf}, arithmetic_type(in.dtype))};
  call.params.in = in;
  call.params.offsets = static_cast<int64_t*>(call.offsets.data_ptr());
  call.params.scores = call.scores.data_ptr();
  return call;
}

}  // namespace gica
