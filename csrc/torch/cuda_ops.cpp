// The operators on CUDA tensors: allocation of outputs and scratch by PyTorch, and the calls into the kernels. Nothing
// here waits for the device.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include <cstdlib>
#include <mutex>
#include <string>

#include "cuda_errors.h"
#include "gica/cuda.h"
#include "outputs.h"

// Part of libtorch's stable interface, in builds with CUDA alone: elsewhere it is null, and never called.
extern "C" __attribute__((weak)) AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);

namespace gica {
namespace {

constexpr int kMostDevices = 64;
constexpr uintptr_t kScratchAlignment = 256;

void check(const cuda::Outcome& outcome, const cuda::Device& device) {
  if (outcome.error != 0) STD_TORCH_CHECK(false, cuda::sentence(outcome, device));
}

// Asked for once per device: reading the properties takes longer than small problems do.
const cuda::Device& properties(int index) {
  static std::mutex mutex;
  static cuda::Device known[kMostDevices];
  STD_TORCH_CHECK(index >= 0 && index < kMostDevices, "gica_ops: device cuda:", index, " is not known");
  const std::lock_guard<std::mutex> lock(mutex);
  cuda::Device& device = known[index];
  if (device.major == 0) {
    cuda::Device found;
    check(cuda::describe(index, &found), found);
    device = found;
  }
  return device;
}

// The kernels for a device. GICA_CUDA_FAMILY=sm80 in the environment takes those of every device where there are
// others: to compare the two, and to tell which of them is wrong.
cuda::Family family_of(const cuda::Device& device) {
  const cuda::Family own = device.major == 9 && device.minor == 0 ? cuda::Family::sm90 : cuda::Family::sm80;
  const char* const wanted = std::getenv("GICA_CUDA_FAMILY");
  if (wanted == nullptr || std::string(wanted).empty()) return own;
  STD_TORCH_CHECK(std::string(wanted) == "sm80", "gica_ops: GICA_CUDA_FAMILY must be sm80 or empty, got ", wanted);
  return cuda::Family::sm80;
}

// The device of a tensor made current, its current stream, and scratch on it, for the length of one call. The memory
// may go back to PyTorch right after: whoever is given it next comes later on the same stream.
class Launch {
 public:
  Launch(const Tensor& f, const Inputs& in, bool allow_tf32) : f_(f), guard_(f.get_device_index()) {
    const int index = f.get_device_index();
    call_.device = properties(index);
    const char* reason = cuda::refusal(in, call_.device);
    STD_TORCH_CHECK(reason == nullptr, "gica_ops: the CUDA kernels cannot run this: ", reason);
    call_.family = family_of(call_.device);
    call_.allow_tf32 = allow_tf32;
    STD_TORCH_CHECK(aoti_torch_get_current_cuda_stream != nullptr,
                    "gica_ops: the installed PyTorch has no CUDA streams, it was built without CUDA");
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(index, &call_.stream));
  }

  // What the *_scratch functions are asked with.
  const cuda::Call& call() const { return call_; }

  const cuda::Call& with_scratch(int64_t bytes) {
    if (bytes <= 0) return call_;
    scratch_ = empty(f_, {bytes}, ScalarType::Byte);
    call_.scratch = scratch_->data_ptr();
    STD_TORCH_CHECK(reinterpret_cast<uintptr_t>(call_.scratch) % kScratchAlignment == 0,
                    "gica_ops: PyTorch's allocator returned scratch that is not aligned to 256 bytes");
    return call_;
  }

  void finish(const cuda::Outcome& outcome) const { check(outcome, call_.device); }

 private:
  const Tensor& f_;
  torch::stable::accelerator::DeviceGuard guard_;
  cuda::Call call_;
  std::optional<Tensor> scratch_;
};

std::pair<int64_t, int64_t> live_tiles(const Geometry& size) {
  return {cuda::live_tiles(size.hf, size.wf), cuda::live_tiles(size.hb, size.wb)};
}

const float* row_statistic(const Tensor& t, const Tensor& f, const Geometry& size) {
  STD_TORCH_CHECK(t.device() == f.device() && t.scalar_type() == ScalarType::Float && t.is_contiguous() &&
                      t.numel() == size.batch * size.P,
                  "row_max and row_sum must be what the forward returned");
  return static_cast<const float*>(t.data_ptr());
}

Attend::Results attend(const Tensor& f, const Tensor& b, std::optional<Tensor> hole, std::optional<Tensor> values,
                       std::optional<Tensor> query, int64_t ksize, int64_t rate, int64_t fuse_k, double softmax_scale,
                       std::string semantics, bool skip, bool return_offsets, bool allow_tf32) {
  Options options = options_of(ksize, rate, fuse_k, semantics);
  options.softmax_scale = softmax_scale, options.skip = skip;
  const Inputs in = inputs_of(f, b, hole, values, query, options);
  Launch launch(f, in, allow_tf32);
  const Attend out = prepare_attend(f, in, live_tiles, return_offsets);
  const cuda::Call& call = launch.with_scratch(cuda::forward_scratch(out.params, launch.call()));
  launch.finish(cuda::forward(out.params, call));
  return out.results();
}

AttendBackward::Results attend_backward(const Tensor& grad_y, const Tensor& f, const Tensor& b,
                                        std::optional<Tensor> hole, std::optional<Tensor> values,
                                        std::optional<Tensor> query, const Tensor& row_max, const Tensor& row_sum,
                                        const Tensor& live, int64_t ksize, int64_t rate, int64_t fuse_k,
                                        double softmax_scale, std::string semantics, bool allow_tf32, bool need_f,
                                        bool need_b, bool need_values) {
  Options options = options_of(ksize, rate, fuse_k, semantics);
  options.softmax_scale = softmax_scale;
  const Inputs in = inputs_of(f, b, hole, values, query, options);
  Launch launch(f, in, allow_tf32);
  const AttendBackward out =
      prepare_backward(grad_y, f, b, values, live, in, live_tiles, {need_f, need_b, need_values});
  const Geometry size(in);
  const float *max = row_statistic(row_max, f, size), *sum = row_statistic(row_sum, f, size);
  const cuda::Call& call = launch.with_scratch(cuda::backward_scratch(out.params, launch.call()));
  launch.finish(cuda::backward(out.params, max, sum, call));
  return out.results();
}

Matched::Results match(const Tensor& f, const Tensor& b, std::optional<Tensor> hole, std::optional<Tensor> query,
                       int64_t ksize, int64_t rate, int64_t fuse_k, std::string semantics, bool allow_tf32) {
  const Options options = options_of(ksize, rate, fuse_k, semantics);
  const Inputs in = inputs_of(f, b, hole, std::nullopt, query, options);
  Launch launch(f, in, allow_tf32);
  const Matched out = prepare_match(f, in);
  const cuda::Call& call = launch.with_scratch(cuda::match_scratch(out.params, launch.call()));
  launch.finish(cuda::match(out.params, call));
  return out.results();
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(gica_ops, CUDA, m) {
  m.impl("attend", TORCH_BOX(&attend));
  m.impl("attend_backward", TORCH_BOX(&attend_backward));
  m.impl("match", TORCH_BOX(&match));
}

}  // namespace gica
