// The operators on CPU tensors: allocation, and the calls into the kernels.
#include <torch/csrc/stable/library.h>

#include <atomic>
#include <tuple>

#include "checks.h"
#include "gica/kernels.h"

namespace gica {
namespace {

// PyTorch's threads; tasks are handed out as workers become free.
void run_on_torch_threads(void*, int64_t tasks, ParallelFor::Body body, void* argument) {
  const int64_t workers = torch::stable::get_num_threads();
  std::atomic<int64_t> next{0};
  torch::stable::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker)
      for (int64_t task; (task = next.fetch_add(1)) < tasks;) body(argument, task, static_cast<int>(worker));
  });
}

ParallelFor torch_threads() {
  return {nullptr, static_cast<int>(torch::stable::get_num_threads()), run_on_torch_threads};
}

void check(Status status) {
  STD_TORCH_CHECK(status != Status::out_of_memory, "gica_ops: not enough memory for the scratch of the CPU kernels");
  STD_TORCH_CHECK(status == Status::ok, "gica_ops: the CPU kernels do not support these tensors");
}

Tensor empty(std::initializer_list<int64_t> sizes, ScalarType type,
             std::optional<torch::headeronly::MemoryFormat> format = std::nullopt) {
  return torch::stable::empty(torch::headeronly::IntHeaderOnlyArrayRef(sizes.begin(), sizes.size()), type, std::nullopt,
                              torch::stable::Device(torch::headeronly::DeviceType::CPU), std::nullopt, format);
}

bool is_channels_last(const Tensor& t) {
  return t.stride(1) == 1 && t.stride(3) == t.size(1) && t.stride(2) == t.size(1) * t.size(3) &&
         t.stride(0) == t.size(1) * t.size(2) * t.size(3) && !t.is_contiguous();
}

Tensor empty_image(const Tensor& like, int64_t channels, int64_t height, int64_t width) {
  return empty({like.size(0), channels, height, width}, like.scalar_type(),
               is_channels_last(like) ? torch::headeronly::MemoryFormat::ChannelsLast
                                      : torch::headeronly::MemoryFormat::Contiguous);
}
Tensor empty_image_like(const Tensor& like) {
  return empty_image(like, like.size(1), like.size(2), like.size(3));
}

using Five = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

Five attend(const Tensor& f, const Tensor& b, std::optional<Tensor> hole, std::optional<Tensor> values,
            std::optional<Tensor> query, int64_t ksize, int64_t rate, int64_t fuse_k, double softmax_scale,
            std::string semantics, bool skip, bool return_offsets) {
  ForwardParams params;
  Options options = options_of(ksize, rate, fuse_k, semantics);
  options.softmax_scale = softmax_scale;
  options.skip = skip;
  params.in = inputs_of(f, b, hole, values, query, options);
  const Geometry size(params.in);
  const int64_t scale = size.phases / rate;
  const ScalarType arithmetic = arithmetic_type(params.in.dtype);
  Tensor y = empty_image(f, size.value_channels, scale * f.size(2), scale * f.size(3));
  Tensor row_max = empty({size.batch, size.hf, size.wf}, arithmetic),
         row_sum = empty({size.batch, size.hf, size.wf}, arithmetic);
  Tensor live = empty({size.batch, size.foreground_tiles.count(), size.background_tiles.count()}, ScalarType::Byte);
  Tensor offsets =
      return_offsets ? empty({size.batch, 2, size.hf, size.wf}, ScalarType::Long) : empty({0}, ScalarType::Long);
  params.y = image_of(y);
  params.row_max = row_max.data_ptr(), params.row_sum = row_sum.data_ptr();
  params.live = static_cast<uint8_t*>(live.data_ptr());
  params.offsets = return_offsets ? static_cast<int64_t*>(offsets.data_ptr()) : nullptr;
  check(cpu::best_kernels()->forward(params, torch_threads()));
  return {y, row_max, row_sum, live, offsets};
}

Three attend_backward(const Tensor& grad_y, const Tensor& f, const Tensor& b, std::optional<Tensor> hole,
                      std::optional<Tensor> values, std::optional<Tensor> query, const Tensor&, const Tensor&,
                      const Tensor& live, int64_t ksize, int64_t rate, int64_t fuse_k, double softmax_scale,
                      std::string semantics, bool need_f, bool need_b, bool need_values) {
  BackwardParams params;
  Options options = options_of(ksize, rate, fuse_k, semantics);
  options.softmax_scale = softmax_scale;
  params.in = inputs_of(f, b, hole, values, query, options);
  const Geometry size(params.in);
  params.grad_y = image_of(grad_y);
  STD_TORCH_CHECK(grad_y.scalar_type() == f.scalar_type() && params.grad_y.batch == size.batch &&
                      params.grad_y.channels == size.value_channels && params.grad_y.height == size.phases * size.hf &&
                      params.grad_y.width == size.phases * size.wf,
                  "grad_y must have the shape and dtype of the output");
  STD_TORCH_CHECK(live.scalar_type() == ScalarType::Byte && live.is_contiguous() &&
                      live.numel() == size.batch * size.foreground_tiles.count() * size.background_tiles.count(),
                  "live must be what the forward returned");
  params.live = static_cast<const uint8_t*>(live.data_ptr());
  Tensor df = need_f ? empty_image_like(f) : empty({0}, f.scalar_type());
  Tensor db = need_b ? empty_image_like(b) : empty({0}, f.scalar_type());
  const bool separate = values.has_value();
  Tensor dvalues = need_values && separate ? empty_image_like(*values) : empty({0}, f.scalar_type());
  if (need_f) params.grad_f = image_of(df);
  if (need_b) params.grad_b = image_of(db);
  if (need_values && separate) params.grad_values = image_of(dvalues);
  check(cpu::best_kernels()->backward(params, torch_threads()));
  return {df, db, dvalues};
}

std::tuple<Tensor, Tensor> match(const Tensor& f, const Tensor& b, std::optional<Tensor> hole,
                                 std::optional<Tensor> query, int64_t ksize, int64_t rate, int64_t fuse_k,
                                 std::string semantics) {
  MatchParams params;
  params.in = inputs_of(f, b, hole, std::nullopt, query, options_of(ksize, rate, fuse_k, semantics));
  const Geometry size(params.in);
  Tensor offsets = empty({size.batch, 2, size.hf, size.wf}, ScalarType::Long);
  Tensor scores = empty({size.batch, size.hf, size.wf}, arithmetic_type(params.in.dtype));
  params.offsets = static_cast<int64_t*>(offsets.data_ptr());
  params.scores = scores.data_ptr();
  check(cpu::best_kernels()->match(params, torch_threads()));
  return {offsets, scores};
}

bool is_vector(const Tensor& t, ScalarType type, int64_t size) {
  return t.dim() == 1 && t.is_contiguous() && t.scalar_type() == type && t.size(0) == size;
}

Tensor window_costs(const Tensor& pixels, const Tensor& weight, const Tensor& targets, const Tensor& sources,
                    int64_t height, int64_t width, int64_t ksize) {
  STD_TORCH_CHECK(ksize > 0 && ksize % 2 == 1 && ksize <= height && ksize <= width,
                  "ksize must be odd and fit into the picture");
  STD_TORCH_CHECK(pixels.dim() == 2 && pixels.is_contiguous() && pixels.scalar_type() == ScalarType::Float &&
                      pixels.size(0) == height * width && is_vector(weight, ScalarType::Float, height * width),
                  "pixels must be float32 of shape (height * width, channels), weight of shape (height * width,)");
  const int64_t count = targets.numel();
  STD_TORCH_CHECK(is_vector(targets, ScalarType::Long, count) && is_vector(sources, ScalarType::Long, count),
                  "targets and sources must be int64 vectors of one length");
  WindowParams params;
  params.pixels = static_cast<const float*>(pixels.data_ptr()),
  params.weight = static_cast<const float*>(weight.data_ptr());
  params.targets = static_cast<const int64_t*>(targets.data_ptr());
  params.sources = static_cast<const int64_t*>(sources.data_ptr());
  params.count = count, params.channels = pixels.size(1), params.width = width, params.ksize = ksize;
  const auto inside = [&](int64_t centre) {
    const int64_t row = centre / width, column = centre % width, radius = ksize / 2;
    return centre >= 0 && row >= radius && row < height - radius && column >= radius && column < width - radius;
  };
  for (int64_t i = 0; i < count; ++i)
    STD_TORCH_CHECK(inside(params.targets[i]) && inside(params.sources[i]), "every window must lie inside the picture");
  Tensor costs = empty({count}, ScalarType::Float);
  params.costs = static_cast<float*>(costs.data_ptr());
  check(cpu::best_kernels()->window_costs(params, torch_threads()));
  return costs;
}

Tensor product(const Tensor& a, const Tensor& b, bool transposed) {
  STD_TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && a.is_contiguous() && b.is_contiguous() && a.numel() > 0 &&
                      b.numel() > 0 && a.scalar_type() == b.scalar_type() && a.size(1) == b.size(transposed ? 1 : 0),
                  "product needs two contiguous matrices of one dtype whose inner sizes agree");
  const int64_t m = a.size(0), n = b.size(transposed ? 0 : 1);
  Tensor c = empty({m, n}, a.scalar_type());
  check(cpu::best_kernels()->product(dtype_of(a), m, n, a.size(1), a.data_ptr(), b.data_ptr(), transposed, c.data_ptr(),
                                     torch_threads()));
  return c;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(gica_ops, CPU, m) {
  m.impl("attend", TORCH_BOX(&attend));
  m.impl("attend_backward", TORCH_BOX(&attend_backward));
  m.impl("match", TORCH_BOX(&match));
  m.impl("window_costs", TORCH_BOX(&window_costs));
  m.impl("product", TORCH_BOX(&product));
}

}  // namespace gica
