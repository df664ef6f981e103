#include "sm90/paste.h"

namespace gica::cuda {

Outcome prepare_paste_sm90(BFloat16, const PasteSm90Buffers& buffers, const Image& values, const Samples& samples,
                           const Shape& s, void* stream) {
  return prepare_slabs<__nv_bfloat16, BFloat16>(buffers, values, samples, s, stream);
}

Outcome paste_sm90(BFloat16, const PasteStrip& strip, const PasteSm90Buffers& buffers, const Shape& s,
                   const Device& device, void* stream) {
  return paste_strip<__nv_bfloat16, BFloat16>(strip, buffers, s, device, stream);
}

}  // namespace gica::cuda
