#include "sm90/paste.h"

namespace gica::cuda {

Outcome prepare_paste_sm90(BFloat16, const PasteSm90Buffers& buffers, const Image& values, const Samples& samples,
                           const Shape& s, void* stream) {
  return prepare_slabs<__nv_bfloat16, BFloat16>(buffers, values, samples, s, stream);
}

Outcome paste_sm90(BFloat16, const PasteSlice& slice, const PasteSm90Buffers& buffers, const Shape& s,
                   const Device& device, void* stream) {
  return paste_slice<__nv_bfloat16, BFloat16>(slice, buffers, s, device, stream);
}

}  // namespace gica::cuda
