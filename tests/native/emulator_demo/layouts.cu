// Where the elements of the sm80 instructions' matrices lie, stated as the PTX manual does: element i of a lane's
// fragment, with group = lane >> 2 and member = lane % 4. Fragments are filled and read by these rules, without
// ldmatrix; the product is right only if the instruction follows them too.
#include "common/ptx.h"
#include "demo.h"

namespace demo {
namespace {

// mma.m16n8k16
__device__ int a_row(int lane, int i) {
  return i < 2 || (4 <= i && i < 6) ? lane >> 2 : (lane >> 2) + 8;
}
__device__ int a_column(int lane, int i) {
  return lane % 4 * 2 + (i & 1) + (i < 4 ? 0 : 8);
}
__device__ int b_row(int lane, int i) {
  return lane % 4 * 2 + (i & 1) + (i < 2 ? 0 : 8);
}
__device__ int b_column(int lane, int) {
  return lane >> 2;
}
__device__ int c_row(int lane, int i) {
  return i < 2 ? lane >> 2 : (lane >> 2) + 8;
}
__device__ int c_column(int lane, int i) {
  return lane % 4 * 2 + (i & 1);
}
// mma.m16n8k8 on tf32
__device__ int a8_row(int lane, int i) {
  return i == 0 || i == 2 ? lane >> 2 : (lane >> 2) + 8;
}
__device__ int a8_column(int lane, int i) {
  return i < 2 ? lane % 4 : lane % 4 + 4;
}
__device__ int b8_row(int lane, int i) {
  return i == 0 ? lane % 4 : lane % 4 + 4;
}

template <class T>
__device__ uint32_t packed(T low, T high) {
  uint16_t bits[2];
  memcpy(bits, &low, 2);
  memcpy(bits + 1, &high, 2);
  return bits[0] | static_cast<uint32_t>(bits[1]) << 16;
}

// c (16 x 8) = a (16 x 16) b (16 x 8), all row-major
template <class T>
__global__ void mma_kernel(const T* a, const T* b, float* c) {
  const int lane = threadIdx.x;
  uint32_t fa[4], fb[2];
  float fc[4] = {};
  for (int i = 0; i < 8; i += 2) {
    fa[i / 2] = packed(a[a_row(lane, i) * 16 + a_column(lane, i)], a[a_row(lane, i + 1) * 16 + a_column(lane, i + 1)]);
  }
  for (int i = 0; i < 4; i += 2) {
    fb[i / 2] = packed(b[b_row(lane, i) * 8 + b_column(lane, i)], b[b_row(lane, i + 1) * 8 + b_column(lane, i + 1)]);
  }
  if constexpr (sizeof(T) == 2 && std::is_same_v<T, __half>)
    gica::cuda::mma_f16(fc, fa, fb);
  else
    gica::cuda::mma_bf16(fc, fa, fb);
  for (int i = 0; i < 4; i++) c[c_row(lane, i) * 8 + c_column(lane, i)] = fc[i];
}

// c (16 x 8) = a (16 x 8) b (8 x 8). The lower 13 bits of the operands are noise, which must not count.
__global__ void mma_tf32_kernel(const float* a, const float* b, float* c) {
  const int lane = threadIdx.x;
  const uint32_t noise = 0x1000u + lane;
  uint32_t fa[4], fb[2];
  float fc[4] = {};
  for (int i = 0; i < 4; i++) fa[i] = __float_as_uint(a[a8_row(lane, i) * 8 + a8_column(lane, i)]) | noise;
  for (int i = 0; i < 2; i++) fb[i] = __float_as_uint(b[b8_row(lane, i) * 8 + b_column(lane, i)]) | noise;
  gica::cuda::mma_tf32(fc, fa, fb);
  for (int i = 0; i < 4; i++) c[c_row(lane, i) * 8 + c_column(lane, i)] = fc[i];
}

// Element e of register i of a lane: of matrix i, row lane / 4, column 2 (lane % 4) + e; transposed, the other way
// round.
__global__ void ldmatrix_kernel(int* elements) {
  GICA_DYNAMIC_SHARED(raw);
  uint16_t* matrices = reinterpret_cast<uint16_t*>(raw);
  const int lane = threadIdx.x;
  for (int j = 0; j < 8; j++)
    matrices[lane * 8 + j] = static_cast<uint16_t>(lane * 8 + j);  // 64 matrix + 8 row + column
  __syncwarp();
  uint32_t r[4][4];
  uint32_t two[2][2];
  gica::cuda::ldmatrix_x4(r[0], matrices + lane * 8);
  gica::cuda::ldmatrix_x4_trans(r[1], matrices + lane * 8);
  gica::cuda::ldmatrix_x2(two[0], matrices + lane % 16 * 8);
  gica::cuda::ldmatrix_x2_trans(two[1], matrices + lane % 16 * 8);
  for (int t = 0; t < 2; t++) {
    for (int i = 0; i < 4; i++) elements[(t * 4 + i) * 32 + lane] = static_cast<int>(r[t][i]);
    for (int i = 0; i < 2; i++) elements[(8 + t * 2 + i) * 32 + lane] = static_cast<int>(two[t][i]);
  }
}

int ldmatrix_wanted(int matrix, bool transposed, int lane) {
  const int a = lane / 4, b = lane % 4 * 2;
  const auto element = [&](int e) { return 64 * matrix + (transposed ? 8 * (b + e) + a : 8 * a + b + e); };
  return element(0) | element(1) << 16;
}

template <class T>
std::string check_mma(const char* name) {
  const std::vector<float> a = random_integers(16 * 16, 2), b = random_integers(16 * 8, 3);
  const DeviceArray<T> device_a(converted<T>(a)), device_b(converted<T>(b));
  const DeviceArray<float> c(16 * 8);
  const Outcome failed =
      GICA_LAUNCH(mma_kernel<T>, dim3(1), dim3(32), 0, nullptr, device_a.data(), device_b.data(), c.data());
  return failed.error ? failure(failed) : compare(name, c.values(), product(a, b, 16, 8, 16, false));
}

std::string check_tf32() {
  const std::vector<float> a = random_integers(16 * 8, 4), b = random_integers(8 * 8, 5);
  const DeviceArray<float> device_a(a), device_b(b), c(16 * 8);
  const Outcome failed =
      GICA_LAUNCH(mma_tf32_kernel, dim3(1), dim3(32), 0, nullptr, device_a.data(), device_b.data(), c.data());
  return failed.error ? failure(failed) : compare("mma_tf32", c.values(), product(a, b, 16, 8, 8, false));
}

std::string check_ldmatrix() {
  const DeviceArray<int> elements(12 * 32);
  const Outcome failed = GICA_LAUNCH(ldmatrix_kernel, dim3(1), dim3(32), 512, nullptr, elements.data());
  if (failed.error) return failure(failed);
  std::vector<int> wanted;
  for (int i = 0; i < 12; i++) {
    for (int lane = 0; lane < 32; lane++) {
      wanted.push_back(i < 8 ? ldmatrix_wanted(i % 4, i / 4, lane) : ldmatrix_wanted(i % 2, i / 10, lane));
    }
  }
  return compare("ldmatrix", elements.values(), wanted);
}

}  // namespace

std::string layouts(Bug) {
  for (const std::string& wrong :
       {check_mma<__nv_bfloat16>("mma_bf16"), check_mma<__half>("mma_f16"), check_tf32(), check_ldmatrix()}) {
    if (!wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace demo
