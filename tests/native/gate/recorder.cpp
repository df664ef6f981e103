// A CUDA runtime without a device: it takes down what would be launched, refuses what no device would take, and runs
// nothing. Linked with the kernels as nvcc compiled them, it shows without a GPU how they are launched for any problem,
// however large, and on any device. Only what the kernels' host code calls is here.
#include <cuda_runtime_api.h>

#include <map>
#include <string>

#include "gica/cuda.h"
#include "tensor_map.h"

namespace {

using gica::cuda::Device;

struct Recorder {
  std::map<const void*, std::string> names;  // of kernels, by the host function that stands for them
  std::map<const void*, int> asked_for;      // dynamic shared memory a kernel may have
  Device device;
  std::string log;  // one line per launch
};
Recorder& recorder() {
  static Recorder one;
  return one;
}

bool fits(const cudaLaunchConfig_t& c, int allowed) {
  const auto within = [](const dim3& d, unsigned x, unsigned y, unsigned z) {
    return d.x > 0 && d.y > 0 && d.z > 0 && d.x <= x && d.y <= y && d.z <= z;
  };
  constexpr unsigned longest = 0x7fffffff;
  return within(c.gridDim, longest, 65535, 65535) && within(c.blockDim, 1024, 1024, 64) &&
         c.blockDim.x * c.blockDim.y * c.blockDim.z <= 1024 && c.dynamicSmemBytes <= static_cast<size_t>(allowed);
}

}  // namespace

extern "C" {

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* c, const void* kernel, void**) {
  constexpr int without_asking = 48 << 10;
  Recorder& r = recorder();
  const auto asked = r.asked_for.find(kernel);
  const int allowed = asked == r.asked_for.end() ? without_asking : asked->second;
  unsigned cluster = 1;
  for (unsigned i = 0; i < c->numAttrs; ++i)
    if (c->attrs[i].id == cudaLaunchAttributeClusterDimension) cluster = c->attrs[i].val.clusterDim.x;
  for (const std::string& word :
       {r.names[kernel], std::to_string(c->gridDim.x), std::to_string(c->gridDim.y), std::to_string(c->gridDim.z),
        std::to_string(c->blockDim.x * c->blockDim.y * c->blockDim.z), std::to_string(c->dynamicSmemBytes),
        std::to_string(cluster)})
    r.log += word + " ";
  r.log += "\n";
  return fits(*c, allowed) ? cudaSuccess : cudaErrorInvalidConfiguration;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  const auto asked = recorder().asked_for.find(kernel);
  *attributes = {};
  attributes->maxDynamicSharedSizeBytes = asked == recorder().asked_for.end() ? 48 << 10 : asked->second;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value > recorder().device.shared_bytes) return cudaErrorInvalidValue;
  recorder().asked_for[kernel] = value;
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void*, int, size_t, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void*, size_t, int, size_t, size_t, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int*, cudaDeviceAttr, int) {
  return cudaErrorNoDevice;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  const bool known = std::string(name) == "cuTensorMapEncodeTiled";
  *function = known ? reinterpret_cast<void*>(&encode_tensor_map) : nullptr;
  *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// What the compiler's own start-up code calls.
void** __cudaRegisterFatBinary(void*) {
  static void* handle;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*,
                            int*) {
  recorder().names[host] = name;
}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
cudaError_t __cudaGetKernel(cudaKernel_t*, const void*) {
  return cudaErrorNotSupported;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t) {
  return cudaErrorNotSupported;
}
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, size_t*, void*) {
  return cudaErrorNotSupported;
}

// A problem in numbers, as gate/launches.py has it. Pointers are made up: the host code hands them on unread.
struct Problem {
  int64_t pass, dtype, batch, channels, hf, wf, hb, wb, ksize, rate, fuse_k, value_channels, value_scale, masked;
  int64_t allow_tf32, skip, scratch_limit;
  int64_t major, minor, multiprocessors, shared_bytes, cache_bytes;
};
struct Answer {
  int64_t scratch, error;
  const char* what;
  const char* log;
};

static void* somewhere() {
  static uintptr_t at = 1 << 20;
  return reinterpret_cast<void*>(at += 1 << 20);
}

static gica::Image image(int64_t batch, int64_t channels, int64_t height, int64_t width) {
  return {somewhere(), batch, channels, height, width, {channels * height * width, height * width, width, 1}};
}

static gica::Inputs inputs_of(const Problem& p) {
  gica::Inputs in;
  in.dtype = static_cast<gica::Dtype>(p.dtype);
  in.f = image(p.batch, p.channels, p.hf, p.wf), in.b = image(p.batch, p.channels, p.hb, p.wb);
  const int64_t s = p.value_scale;
  in.separate_values = s > 0;
  in.values = s > 0 ? image(p.batch, p.value_channels, s * p.hb, s * p.wb) : in.b;
  if (p.masked) in.hole = {static_cast<const uint8_t*>(somewhere()), 0, p.wb, 1};
  in.options.ksize = static_cast<int>(p.ksize), in.options.rate = static_cast<int>(p.rate);
  in.options.fuse_k = static_cast<int>(p.fuse_k), in.options.skip = p.skip != 0;
  return in;
}

__attribute__((visibility("default"))) void gica_record(const Problem* p, Answer* answer) {
  using namespace gica;
  Recorder& r = recorder();
  r.log.clear(), r.asked_for.clear();
  cuda::Call call;
  call.device = r.device = {static_cast<int>(p->major), static_cast<int>(p->minor),
                            static_cast<int>(p->multiprocessors), p->shared_bytes, p->cache_bytes};
  call.family = p->major == 9 && p->minor == 0 ? cuda::Family::sm90 : cuda::Family::sm80;
  call.allow_tf32 = p->allow_tf32 != 0, call.scratch_limit = p->scratch_limit;
  const Inputs in = inputs_of(*p);
  if (const char* reason = cuda::refusal(in, call.device)) {
    *answer = {0, -1, reason, ""};
    return;
  }
  const int64_t scale = p->value_scale > 0 ? p->value_scale : 1;
  const Image y = image(p->batch, in.values.channels, scale * p->hf, scale * p->wf);
  cuda::Outcome outcome;
  int64_t scratch = 0;
  if (p->pass == 0) {
    ForwardParams params;
    params.in = in, params.y = y, params.row_max = somewhere(), params.row_sum = somewhere();
    params.live = static_cast<uint8_t*>(somewhere());
    scratch = cuda::forward_scratch(params, call);
    call.scratch = somewhere();
    outcome = cuda::forward(params, call);
  } else if (p->pass == 1) {
    BackwardParams params;
    params.in = in, params.grad_y = y, params.live = static_cast<uint8_t*>(somewhere());
    params.grad_f = in.f, params.grad_b = in.b;
    if (in.separate_values) params.grad_values = in.values;
    const auto* statistic = static_cast<const float*>(somewhere());
    scratch = cuda::backward_scratch(params, call);
    call.scratch = somewhere();
    outcome = cuda::backward(params, statistic, statistic, call);
  } else {
    MatchParams params;
    params.in = in, params.offsets = static_cast<int64_t*>(somewhere()), params.scores = somewhere();
    scratch = cuda::match_scratch(params, call);
    call.scratch = somewhere();
    outcome = cuda::match(params, call);
  }
  *answer = {scratch, outcome.error, outcome.what, r.log.c_str()};
}

}  // extern "C"
