// Where the elements of the sm90 instructions' matrices lie. A tile that was loaded with 128-byte swizzle is read with
// plain loads; tiles that were swizzled by copies and by plain stores are multiplied; element i of thread t's
// accumulators is stored by the manual's rule. All of it has to be right.
#include "common/ptx_sm90.h"
#include "demo.h"

namespace demo {
namespace {

using namespace gica::cuda;

constexpr int kDepth = 64;

// The place of row r and column c in a swizzled tile, in elements: pieces of 8, the number of each exclusive-or r % 8.
__host__ __device__ int place(int r, int c) {
  return r * kDepth + ((c / 8) ^ (r % 8)) * 8 + c % 8;
}

// Writes to `out` the tile of 16 rows at (x, y), and 32 of its bytes that came without swizzle.
__global__ void tile_kernel(const __grid_constant__ TensorMap map, const uint16_t* matrix, int x, int y, int* out) {
#if defined(GICA_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  GICA_DYNAMIC_SHARED(raw);
  uint16_t* tile = reinterpret_cast<uint16_t*>(raw);
  uint64_t* barrier = reinterpret_cast<uint64_t*>(raw + 2048 + 32);
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expect(barrier, 2048 + 32);
    tma_load(tile, &map, barrier, x, y);
    bulk_load(tile + 1024, matrix, 32, barrier);
  }
  __syncthreads();
  mbarrier_wait(barrier, 0);
  for (int i = threadIdx.x; i < 16 * kDepth; i += blockDim.x) out[i] = tile[place(i / kDepth, i % kDepth)];
  if (threadIdx.x < 16) out[16 * kDepth + threadIdx.x] = tile[1024 + threadIdx.x];
#endif
}

// c (64 x N) = 2 a b^T by a first product that overwrites, and one that adds. One warpgroup.
template <class T, int N>
__global__ void wgmma_kernel(const T* a, const T* b, bool fence, float* c) {
#if defined(GICA_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  GICA_DYNAMIC_SHARED(raw);
  T *tile_a = reinterpret_cast<T*>(raw), *tile_b = tile_a + 64 * kDepth;
  const int t = threadIdx.x, warp = t / 32, group = t % 32 >> 2, member = t % 4;
  for (int i = 8 * t; i < 64 * kDepth; i += 8 * 128) cp_async_16(tile_a + place(i / kDepth, i % kDepth), a + i, true);
  cp_async_commit();
  for (int i = t; i < N * kDepth; i += 128) tile_b[place(i / kDepth, i % kDepth)] = b[i];
  cp_async_wait<0>();
  if (fence) fence_async_proxy();
  __syncthreads();
  float d[N / 2];
#pragma unroll
  for (int i = 0; i < N / 2; i++) d[i] = 1e30f;
  wgmma_fence(d);
  const uint64_t da = wgmma_descriptor(tile_a), db = wgmma_descriptor(tile_b);
#pragma unroll
  for (int k = 0; k < 8; k++) {
    if constexpr (std::is_same_v<T, __half>)
      wgmma_f16(d, wgmma_moved(da, k % 4 * 2), wgmma_moved(db, k % 4 * 2), k > 0);
    else
      wgmma_bf16(d, da + k % 4 * 2, db + k % 4 * 2, k > 0);
  }
  wgmma_commit();
  wgmma_wait<0>(d);
#pragma unroll
  for (int i = 0; i < N / 2; i++) {
    const int row = 16 * warp + group + (i % 4 >= 2 ? 8 : 0), column = 8 * (i / 4) + 2 * member + (i & 1);
    c[row * N + column] = d[i];
  }
#endif
}

std::string check_tile() {
  const int rows = 40, columns = 104;
  std::vector<uint16_t> matrix(rows * columns);
  for (size_t i = 0; i < matrix.size(); i++) matrix[i] = static_cast<uint16_t>(i + 1);
  const DeviceArray<uint16_t> device(matrix);
  TensorMap map;
  Outcome failed = make_tensor_map(&map, device.data(), columns, rows, columns * 2, kDepth, 16);
  for (const auto& [x, y] : {std::pair(0, 0), {32, 8}, {64, 32}, {-8, -3}, {200, 3}}) {
    const DeviceArray<int> out(16 * kDepth + 16);
    if (!failed.error) {
      failed =
          GICA_LAUNCH(tile_kernel, dim3(1), dim3(64), 2048 + 32 + 8, nullptr, map, device.data(), x, y, out.data());
    }
    if (failed.error) return failure(failed);
    std::vector<int> wanted;
    for (int r = y; r < y + 16; r++) {
      for (int c = x; c < x + kDepth; c++) {
        wanted.push_back(r >= 0 && r < rows && c >= 0 && c < columns ? matrix[r * columns + c] : 0);
      }
    }
    for (int i = 0; i < 16; i++) wanted.push_back(matrix[i]);
    if (std::string wrong = compare("tile", out.values(), wanted); !wrong.empty()) return wrong;
  }
  return "";
}

template <class T, int N>
std::string check_wgmma(const char* name, Bug bug) {
  const std::vector<float> a = random_integers(64 * kDepth, 10), b = random_integers(N * kDepth, 11);
  const DeviceArray<T> device_a(converted<T>(a)), device_b(converted<T>(b));
  const DeviceArray<float> c(64 * N);
  const Outcome failed = GICA_LAUNCH((wgmma_kernel<T, N>), dim3(1), dim3(128), (64 + N) * kDepth * 2, nullptr,
                                     device_a.data(), device_b.data(), bug != Bug::no_proxy_fence, c.data());
  if (failed.error) return failure(failed);
  std::vector<float> wanted = product(a, b, 64, N, kDepth, true);
  for (float& v : wanted) v *= 2;
  return compare(name, c.values(), wanted);
}

}  // namespace

std::string layouts_sm90(Bug bug) {
  for (const std::string& wrong :
       {check_tile(), check_wgmma<__nv_bfloat16, 72>("wgmma_bf16 n72", bug), check_wgmma<__nv_bfloat16, 64>("n64", bug),
        check_wgmma<__nv_bfloat16, 128>("n128", bug), check_wgmma<__nv_bfloat16, 256>("n256", bug),
        check_wgmma<__half, 72>("wgmma_f16 n72", bug), check_wgmma<__half, 64>("n64", bug),
        check_wgmma<__half, 128>("n128", bug), check_wgmma<__half, 256>("n256", bug)}) {
    if (!wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace demo
