# The CUDA kernels compiled for the host: the files that nvcc compiles, as C++, under the emulator. Of the toolkit only
# headers are needed, those of its types. Where there are none there is no target, and emulated_off.txt says why.

if("$ENV{GICA_CUDA}" STREQUAL "0")
  file(WRITE ${CMAKE_BINARY_DIR}/emulated_off.txt "GICA_CUDA=0 leaves the CUDA kernels out")
  return()
endif()

# nvcc may be a script that calls the real one elsewhere: what it would run tells where the toolkit lies.
set(places "$ENV{CUDA_HOME}" "$ENV{CUDA_PATH}")
find_program(nvcc nvcc NO_CACHE)
if(nvcc)
  execute_process(COMMAND ${nvcc} --dryrun -x cu /dev/null ERROR_VARIABLE plan OUTPUT_QUIET)
  string(REGEX MATCH "TOP=([^\n]+)" found "${plan}")
  list(APPEND places "${CMAKE_MATCH_1}")
endif()
list(APPEND places /usr/local/cuda)
find_path(headers NAMES cuda_bf16.h PATHS ${places} PATH_SUFFIXES include NO_CACHE NO_DEFAULT_PATH)
if(NOT headers)
  file(WRITE ${CMAKE_BINARY_DIR}/emulated_off.txt
    "the headers of a CUDA toolkit are needed: none behind an nvcc on the PATH, in CUDA_HOME or in /usr/local/cuda")
  return()
endif()
file(WRITE ${CMAKE_BINARY_DIR}/emulated_off.txt "")

set(cuda ${PROJECT_SOURCE_DIR}/csrc/cuda)
file(GLOB kernels CONFIGURE_DEPENDS ${cuda}/instantiate/*.cu)
set_source_files_properties(${kernels} PROPERTIES
  LANGUAGE CXX COMPILE_OPTIONS "-include;emulator/cuda.h;-Wno-unknown-pragmas")
pybind11_add_module(gica_emulated MODULE EXCLUDE_FROM_ALL NO_EXTRAS
  ${kernels} ${cuda}/select.cpp emulated_bridge.cpp emulated_indices.cpp)
set_target_properties(gica_emulated PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
target_compile_features(gica_emulated PRIVATE cxx_std_20)
target_compile_definitions(gica_emulated PRIVATE GICA_EMULATED)
target_include_directories(gica_emulated PRIVATE ${PROJECT_SOURCE_DIR}/csrc/include ${cuda} ${CMAKE_CURRENT_LIST_DIR})
target_include_directories(gica_emulated SYSTEM PRIVATE ${headers})
find_package(Threads REQUIRED)
target_link_libraries(gica_emulated PRIVATE Threads::Threads)
# -O2 runs as fast here as -O3, and compiles faster. The module runs where it is built: -march=native makes
# instructions of what else are calls, fmaf above all.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-march=native GICA_MARCH_NATIVE)
target_compile_options(gica_emulated PRIVATE -O2 $<$<BOOL:${GICA_MARCH_NATIVE}>:-march=native> -ffp-contract=off
  -Wall -Wextra -Wno-unused-function -Wno-maybe-uninitialized ${GICA_SANITIZERS})
target_link_options(gica_emulated PRIVATE ${GICA_SANITIZERS})
