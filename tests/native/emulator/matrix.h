// ldmatrix and mma.sync: matrices that lie across the registers of a warp.
#pragma once

#include <cstdint>
#include <cstring>

#include "emulator/collectives.h"
#include "emulator/intrinsics.h"

namespace emulator {

// Loads Count 8 x 8 matrices of 16-bit elements. Lane 8 i + j names row j of matrix i. Lane l gets of every matrix the
// elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4; transposed, of column l / 4.
template <int Count, bool Transposed>
void load_matrices(const char* operation, uint32_t (&registers)[Count], const void* row, Site site) {
  struct Argument {
    const void* row;
    uint32_t* registers;
  } mine{row, registers};
  if (lane() < 8 * Count && reinterpret_cast<uintptr_t>(row) & 15) {
    fail(std::string(operation) + ": a row's address is not a multiple of 16", site);
  }
  collective(operation, ~0u, site, mine, [](Argument** lanes) {
    for (int i = 0; i < Count; i++) {
      uint16_t matrix[8][8];
      for (int j = 0; j < 8; j++) std::memcpy(matrix[j], lanes[8 * i + j]->row, 16);
      for (int l = 0; l < 32; l++) {
        const int a = l / 4, b = l % 4 * 2;
        const uint32_t low = Transposed ? matrix[b][a] : matrix[a][b];
        const uint32_t high = Transposed ? matrix[b + 1][a] : matrix[a][b + 1];
        lanes[l]->registers[i] = low | high << 16;
      }
    }
  });
}

typedef float Row __attribute__((vector_size(32)));  // eight columns
typedef uint32_t RowBits __attribute__((vector_size(32)));
typedef uint16_t HalfRowBits __attribute__((vector_size(16)));

// How registers and shared memory hold the elements of matrices, and the values of eight neighbours.
struct Bf16 {
  using Bits = uint16_t;
  static void values(const Bits* bits, Row* row) {
    HalfRowBits half;
    std::memcpy(&half, bits, sizeof half);
    *row = (Row)(__builtin_convertvector(half, RowBits) << 16);
  }
};
struct F16 {
  using Bits = uint16_t;
  static void values(const Bits* bits, Row* row) {
    HalfRowBits narrow;
    std::memcpy(&narrow, bits, sizeof narrow);
    const RowBits half = __builtin_convertvector(narrow, RowBits);
    const RowBits magnitude = (half & 0x7FFF) << 13, sign = (half & 0x8000) << 16;
    const RowBits finite = (RowBits)((Row)magnitude * 0x1p112f);  // moves the exponent's bias
    const RowBits is_finite = (RowBits)((half & 0x7C00) != 0x7C00);
    *row = (Row)((finite & is_finite) | ((magnitude | 0x7F800000) & ~is_finite) | sign);
  }
};
struct Tf32 {
  using Bits = uint32_t;
  static void values(const Bits* bits, Row* row) {
    RowBits whole;
    std::memcpy(&whole, bits, sizeof whole);
    *row = (Row)(whole & 0xFFFFE000);  // the rest is not looked at
  }
};

// A row of K elements.
template <class Element, int K>
void convert(const typename Element::Bits* bits, float* values) {
  for (int k = 0; k < K; k += 8) {
    Row row;
    Element::values(bits + k, &row);
    std::memcpy(values + k, &row, sizeof row);
  }
}

// Four rows of D += A B, with K the columns of A: they share what is read of B.
template <int K>
void multiply_rows(Row* d, const float (*a)[K], const Row* b) {
  Row d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];
  for (int k = 0; k < K; k++) {
    d0 += a[0][k] * b[k];
    d1 += a[1][k] * b[k];
    d2 += a[2][k] * b[k];
    d3 += a[3][k] * b[k];
  }
  d[0] = d0, d[1] = d1, d[2] = d2, d[3] = d3;
}

struct Fragments {
  float* d;
  const uint32_t *a, *b;
};

// D (16 x 8) += A (16 x K) B (K x 8), where eight registers hold K elements. With g = lane / 4 and q = lane % 4: A's
// register i is register q + 4 (i / 2) of row g + 8 (i % 2), B's register i is register q + 4 i of column g, and d[i]
// is D[g + 8 (i / 2)][2 q + i % 2].
template <class Element>
void multiply(Fragments** lanes) {
  using Bits = typename Element::Bits;
  constexpr int K = 32 / sizeof(Bits);
  uint32_t a_registers[16][8], b_registers[8][8];
  float sums[16][8];
  for (int l = 0; l < 32; l++) {
    const int g = l / 4, q = l % 4;
    const Fragments& mine = *lanes[l];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      a_registers[g + 8 * (i % 2)][q + 4 * (i / 2)] = mine.a[i];
      sums[g + 8 * (i / 2)][2 * q + i % 2] = mine.d[i];
    }
    b_registers[g][q] = mine.b[0];
    b_registers[g][q + 4] = mine.b[1];
  }

  Bits a_bits[16][K], b_bits[8][K];
  float a[16][K], b[K][8];
  std::memcpy(a_bits, a_registers, sizeof a_bits);
  std::memcpy(b_bits, b_registers, sizeof b_bits);
  for (int r = 0; r < 16; r++) convert<Element, K>(a_bits[r], a[r]);
  for (int c = 0; c < 8; c++) {
    float column[K];
    convert<Element, K>(b_bits[c], column);
    for (int k = 0; k < K; k++) b[k][c] = column[k];
  }

  Row d[16], b_rows[K];
  std::memcpy(d, sums, sizeof d);
  std::memcpy(b_rows, b, sizeof b_rows);
  for (int r = 0; r < 16; r += 4) multiply_rows(d + r, a + r, b_rows);
  std::memcpy(sums, d, sizeof d);
  for (int l = 0; l < 32; l++) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) lanes[l]->d[i] = sums[l / 4 + 8 * (i / 2)][l % 4 * 2 + i % 2];
  }
}

template <class Element>
void multiply_accumulate(const char* operation, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         Site site) {
  Fragments mine{d, a, b};
  collective(operation, ~0u, site, mine, multiply<Element>);
}

}  // namespace emulator
