#include "sm90/paste.h"

namespace gica::cuda {

Outcome prepare_paste_sm90(Half, const PasteSm90Buffers& buffers, const Image& values, const Samples& samples,
                           const Shape& s, void* stream) {
  return prepare_slabs<__half, Half>(buffers, values, samples, s, stream);
}

Outcome paste_sm90(Half, const PasteStrip& strip, const PasteSm90Buffers& buffers, const Shape& s, const Device& device,
                   void* stream) {
  return paste_strip<__half, Half>(strip, buffers, s, device, stream);
}

}  // namespace gica::cuda
