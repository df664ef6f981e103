// Shuffles, votes, reductions, bits, named barriers, conversions: what lane i gets, as the manual says it.
#include "common/ptx.h"
#include "demo.h"

namespace demo {
namespace {

constexpr int kResults = 20;

__global__ void lanes_kernel(int* results) {
  const int lane = threadIdx.x;
  int* mine = results + lane * kResults;
  mine[0] = __shfl_sync(~0u, lane, 5);
  mine[1] = __shfl_sync(~0u, lane, lane + 1, 8);
  mine[2] = __shfl_xor_sync(~0u, lane, 3);
  mine[3] = __shfl_xor_sync(~0u, lane, 12, 8);
  mine[4] = __shfl_up_sync(~0u, lane, 2);
  mine[5] = __shfl_down_sync(~0u, lane, 3, 16);
  mine[6] = static_cast<int>(__ballot_sync(~0u, lane % 3 == 0));
  mine[7] = __any_sync(~0u, lane == 7) + 2 * __any_sync(~0u, lane == 40);
  mine[8] = __all_sync(~0u, lane < 32) + 2 * __all_sync(~0u, lane < 31);
  mine[9] = __reduce_add_sync(~0u, lane - 20);
  mine[10] = __reduce_max_sync(~0u, lane - 40) + static_cast<int>(__reduce_min_sync(~0u, 40u + lane));
  mine[11] = 0;
  if (lane < 16) mine[11] = __reduce_add_sync(0xFFFFu, lane);
  __syncwarp();
  mine[12] = __popc(lane) + 100 * __ffs(lane) + 10000 * __clz(lane);
  mine[13] = static_cast<int>(__brev(1u << lane));
  mine[14] = min(lane, 7) + 100 * max(lane, 9);
  mine[15] = __float_as_int(static_cast<float>(lane));
  mine[16] = static_cast<int>(gica::cuda::to_tf32(1.0f + ldexpf(static_cast<float>(lane), -14)));
  mine[17] = static_cast<int>(max(0.5f * lane, 3.0f) * 2);
}

// Two warps fill, two warps read what they have filled.
__global__ void named_barrier_kernel(int* results) {
  __shared__ int values[64];
  const int i = threadIdx.x % 64;
  for (int round = 0; round < 3; round++) {
    if (threadIdx.x < 64) {
      if (round) gica::cuda::named_barrier_sync(2, 128);
      values[i] = 100 * round + i;
      gica::cuda::named_barrier_arrive(1, 128);
    } else {
      gica::cuda::named_barrier_sync(1, 128);
      results[round * 64 + i] = values[63 - i];
      if (round < 2) gica::cuda::named_barrier_arrive(2, 128);
    }
  }
}

int highest_bit(int v) {
  int bit = -1;
  for (; v; v >>= 1) bit++;
  return bit;
}

std::vector<int> wanted_of(int lane) {
  int multiples_of_3 = 0, bits = 0, first = 0;
  for (int i = 0; i < 32; i += 3) multiples_of_3 |= 1 << i;
  for (int i = 4; i >= 0; i--) {
    if (lane >> i & 1) bits++, first = i + 1;
  }
  float tf32 = 1.0f + static_cast<float>((lane * 2 + 16) / 32) / 1024;  // multiples of 2^-10, ties up
  int tf32_bits;
  std::memcpy(&tf32_bits, &tf32, 4);
  int as_int;
  const float as_float = static_cast<float>(lane);
  std::memcpy(&as_int, &as_float, 4);
  return {5,
          lane / 8 * 8 + (lane + 1) % 8,
          lane ^ 3,
          lane,  // the lane it names lies in another group of 8
          lane < 2 ? lane : lane - 2,
          lane % 16 + 3 < 16 ? lane + 3 : lane,
          multiples_of_3,
          1,
          1,
          31 * 16 - 20 * 32,
          31 - 40 + 40,
          lane < 16 ? 120 : 0,
          bits + 100 * first + 10000 * (31 - highest_bit(lane)),
          static_cast<int>(1u << (31 - lane)),
          (lane < 7 ? lane : 7) + 100 * (lane > 9 ? lane : 9),
          as_int,
          tf32_bits,
          lane > 6 ? lane : 6,
          0,
          0};
}

}  // namespace

std::string warp_functions(Bug) {
  const DeviceArray<int> lanes(32 * kResults), rounds(3 * 64);
  if (Outcome failed = GICA_LAUNCH(lanes_kernel, dim3(1), dim3(32), 0, nullptr, lanes.data()); failed.error) {
    return failure(failed);
  }
  std::vector<int> wanted;
  for (int lane = 0; lane < 32; lane++) {
    for (int v : wanted_of(lane)) wanted.push_back(v);
  }
  if (std::string wrong = compare("result", lanes.values(), wanted); !wrong.empty()) return wrong;
  if (Outcome failed = GICA_LAUNCH(named_barrier_kernel, dim3(1), dim3(128), 0, nullptr, rounds.data()); failed.error) {
    return failure(failed);
  }
  wanted.clear();
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 64; i++) wanted.push_back(100 * round + 63 - i);
  }
  return compare("round", rounds.values(), wanted);
}

}  // namespace demo
