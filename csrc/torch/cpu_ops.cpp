// The operators on CPU tensors: allocation, and the calls into the kernels.
#include <torch/csrc/stable/library.h>

#include <atomic>

#include "gica/kernels.h"
#include "outputs.h"

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

std::pair<int64_t, int64_t> live_tiles(const Geometry& size) {
  return {size.foreground_tiles.count(), size.background_tiles.count()};
}

Attend::Results attend(const Tensor& f, const Tensor& b, std::optional<Tensor> hole, std::optional<Tensor> values,
                       std::optional<Tensor> query, int64_t ksize, int64_t rate, int64_t fuse_k, double softmax_scale,
                       std::string semantics, bool skip, bool return_offsets, bool) {
  Options options = options_of(ksize, rate, fuse_k, semantics);
  options.softmax_scale = softmax_scale, options.skip = skip;
  const Attend call = prepare_attend(f, inputs_of(f, b, hole, values, query, options), live_tiles, return_offsets);
  check(cpu::best_kernels()->forward(call.params, torch_threads()));
  return call.results();
}

AttendBackward::Results attend_backward(const Tensor& grad_y, const Tensor& f, const Tensor& b,
                                        std::optional<Tensor> hole, std::optional<Tensor> values,
                                        std::optional<Tensor> query, const Tensor&, const Tensor&, const Tensor& live,
                                        int64_t ksize, int64_t rate, int64_t fuse_k, double softmax_scale,
                                        std::string semantics, bool, bool need_f, bool need_b, bool need_values) {
  Options options = options_of(ksize, rate, fuse_k, semantics);
  options.softmax_scale = softmax_scale;
  const Inputs in = inputs_of(f, b, hole, values, query, options);
  const AttendBackward call =
      prepare_backward(grad_y, f, b, values, live, in, live_tiles, {need_f, need_b, need_values});
  check(cpu::best_kernels()->backward(call.params, torch_threads()));
  return call.results();
}

Matched::Results match(const Tensor& f, const Tensor& b, std::optional<Tensor> hole, std::optional<Tensor> query,
                       int64_t ksize, int64_t rate, int64_t fuse_k, std::string semantics, bool) {
  const Options options = options_of(ksize, rate, fuse_k, semantics);
  const Matched call = prepare_match(f, inputs_of(f, b, hole, std::nullopt, query, options));
  check(cpu::best_kernels()->match(call.params, torch_threads()));
  return call.results();
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
  Tensor costs = empty(pixels, {count}, ScalarType::Float);
  params.costs = static_cast<float*>(costs.data_ptr());
  check(cpu::best_kernels()->window_costs(params, torch_threads()));
  return costs;
}

Tensor product(const Tensor& a, const Tensor& b, bool transposed) {
  STD_TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && a.is_contiguous() && b.is_contiguous() && a.numel() > 0 &&
                      b.numel() > 0 && a.scalar_type() == b.scalar_type() && a.size(1) == b.size(transposed ? 1 : 0),
                  "product needs two contiguous matrices of one dtype whose inner sizes agree");
  const int64_t m = a.size(0), n = b.size(transposed ? 0 : 1);
  Tensor c = empty(a, {m, n}, a.scalar_type());
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
