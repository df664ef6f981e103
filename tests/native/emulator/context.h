// Stacks, and the switch from one to another: what a CUDA thread is made of here.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
// Elsewhere than on x86-64 the C library switches, which takes a system call each time.
#if defined(__x86_64__) && !defined(GICA_EMULATOR_UCONTEXT)
#define GICA_EMULATOR_SWAPS_STACKS 1
#else
#include <ucontext.h>
#endif

namespace emulator {

struct Stack {
  unsigned char* bottom;
  size_t bytes;
};

// What is needed to go on where a stack was left.
struct Context {
#if defined(GICA_EMULATOR_SWAPS_STACKS)
  void* top = nullptr;  // the saved registers lie here
#else
  ucontext_t machine;
#endif
  void* fake_stack = nullptr;  // the address sanitizer's own part of it
  const void* bottom = nullptr;
  size_t bytes = 0;
};

#if defined(GICA_EMULATOR_SWAPS_STACKS)
// Saves what a function call has to preserve, and returns on the other stack.
__attribute__((naked, noinline)) inline void swap_stacks(void** /*save*/, void* /*top*/) {
  asm("pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15;"
      "movq %rsp, (%rdi); movq %rsi, %rsp;"
      "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret");
}
#endif

// Goes on at `to`. Returns when somebody switches back to `from`; for_good: nobody will.
inline void switch_context(Context& from, Context& to, bool for_good = false) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.bottom, to.bytes);
#else
  (void)for_good;
#endif
#if defined(GICA_EMULATOR_SWAPS_STACKS)
  swap_stacks(&from.top, to.top);
#else
  swapcontext(&from.machine, &to.machine);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

// Makes `context` one that starts `entry`, which must never return, on the given stack.
inline void prepare(Context& context, const Stack& stack, void (*entry)()) {
  context = {};
  context.bottom = stack.bottom;
  context.bytes = stack.bytes;
#if defined(GICA_EMULATOR_SWAPS_STACKS)
  void** top = reinterpret_cast<void**>(stack.bottom + stack.bytes);
  *--top = nullptr;  // the return address of entry
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;  // the registers swap_stacks pops
  context.top = top;
#else
  getcontext(&context.machine);
  context.machine.uc_stack.ss_sp = stack.bottom;
  context.machine.uc_stack.ss_size = stack.bytes;
  context.machine.uc_link = nullptr;
  makecontext(&context.machine, entry, 0);
#endif
}

// To be called first on a fresh stack: tells the sanitizer, and takes down where `left` lies if that is not known yet.
inline void arrive_on_fresh_stack(Context& left) {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (!left.bottom) left.bottom = bottom, left.bytes = bytes;
#else
  (void)left;
#endif
}

// Stacks to take and to give back. Only the pages that were touched cost memory.
class Stacks {
 public:
  Stacks() = default;
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks() {
    for (unsigned char* region : regions_) munmap(region, kBytes * kPerRegion);
  }

  Stack take() {
    if (free_.empty()) grow();
    Stack stack = free_.back();
    free_.pop_back();
    return stack;
  }

  void give(Stack stack) { free_.push_back(stack); }

  // For a stack that was left in the middle of something: nothing on it is in use any more.
  void give_abandoned(Stack stack) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack.bottom, stack.bytes);
#endif
    give(stack);
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr size_t kBytes = 512 << 10;  // its redzones make frames larger
#else
  static constexpr size_t kBytes = 256 << 10;
#endif
  static constexpr int kPerRegion = 64;
  static constexpr size_t kGuard = 4096;  // below every stack: who needs more than there is stops there

  void grow() {
    void* region = mmap(nullptr, kBytes * kPerRegion, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (region == MAP_FAILED) std::abort();
    regions_.push_back(static_cast<unsigned char*>(region));
    // Tops are spread over the sets of the cache: at equal distances of a power of two they would all share one.
    for (int i = kPerRegion - 1; i >= 0; i--) {
      const size_t spread = i * 17 * 64;
      unsigned char* bottom = regions_.back() + i * kBytes;
      mprotect(bottom, kGuard, PROT_NONE);
      free_.push_back({bottom + kGuard, kBytes - kGuard - spread});
    }
  }

  std::vector<unsigned char*> regions_;
  std::vector<Stack> free_;
};

}  // namespace emulator
