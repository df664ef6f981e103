// What a kernel is told: plain structs, no torch, no Python. Pointers are borrowed for the length of one call.
#pragma once

#include <cstdint>

namespace gica {

enum class Dtype : int { float32, float64, bfloat16, float16 };

// The named variants of the layer (docs/semantics.md): which pixel the reduction picks, whether masked scores stay in
// the softmax, and what the paste divides by.
enum class Semantics : int { tf, torch, mmagic };

enum class Status : int { ok, out_of_memory, unsupported };

// A (batch, channels, height, width) tensor of any strides, in elements.
struct Image {
  void* data = nullptr;
  int64_t batch = 0, channels = 0, height = 0, width = 0;
  int64_t stride[4] = {0, 0, 0, 0};
};

// A (1 or batch, 1, height, width) tensor of bytes, non-zero = true; data is null where there is none.
struct Mask {
  const uint8_t* data = nullptr;
  int64_t batch_stride = 0, row_stride = 0, column_stride = 0;
};

struct Options {
  int ksize = 3, rate = 1, fuse_k = 3;
  double softmax_scale = 10.0;
  Semantics semantics = Semantics::tf;
  bool skip = true;         // leave out blocks of attention that cannot change the result beyond rounding
  int64_t strip_bytes = 0;  // scratch for one strip of scores; 0 = chosen by size
};

// Inputs shared by every pass. Without values of their own, the pixels pasted are b's: values is then b once more.
struct Inputs {
  Dtype dtype = Dtype::float32;
  Image f, b, values;
  bool separate_values = false;
  Mask hole, query;
  Options options;
};

// row_max, row_sum: (batch, fh, fw) in the arithmetic dtype; live: (batch, foreground tiles, background tiles);
// offsets: (batch, 2, fh, fw) or null.
struct ForwardParams {
  Inputs in;
  Image y;
  void* row_max = nullptr;
  void* row_sum = nullptr;
  uint8_t* live = nullptr;
  int64_t* offsets = nullptr;
};

// An output that is not asked for is left as it is here: neither data nor channels.
struct BackwardParams {
  Inputs in;
  Image grad_y;
  const uint8_t* live = nullptr;
  Image grad_f, grad_b, grad_values;
};

// scores: (batch, fh, fw) in the arithmetic dtype.
struct MatchParams {
  Inputs in;  // values is not read
  int64_t* offsets = nullptr;
  void* scores = nullptr;
};

// Windows of a picture, ksize x ksize pixels named by their centre, compared pair by pair. pixels: [height *
// width][channels]; weight: [height * width]; every window lies inside the picture. costs: [count], the mean over the
// target's window of the squared differences, each pixel counting as the target's weight there says.
struct WindowParams {
  const float* pixels = nullptr;
  const float* weight = nullptr;
  const int64_t* targets = nullptr;
  const int64_t* sources = nullptr;
  float* costs = nullptr;
  int64_t count = 0, channels = 0, width = 0, ksize = 0;
};

}  // namespace gica
