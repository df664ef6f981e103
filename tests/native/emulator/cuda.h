// Compiles a .cu file as C++, for a machine without a device. To be included before everything else:
//
//     g++ -std=c++17 -O2 -I$CUDA/include -Itests/native -DGICA_EMULATED -x c++ -include emulator/cuda.h FILE.cu
#pragma once

#if !defined(GICA_EMULATED)
#error "emulator/cuda.h is for code that is compiled with GICA_EMULATED"
#endif

// Before the toolkit's headers, one of which includes the runtime it stands for.
#include "emulator/runtime.h"

// The toolkit's own types: these headers are C++ to a C++ compiler.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <vector_functions.h>
#include <vector_types.h>

#include "emulator/barriers.h"
#include "emulator/collectives.h"
#include "emulator/grid.h"
#include "emulator/intrinsics.h"
// Last: changes the meaning of words the headers above use.
#include "emulator/qualifiers.h"
