// Who runs next. A thread runs until it has to wait; then another lane of its warp goes on, or else another warp.
#pragma once

#include <algorithm>
#include <map>
#include <numeric>
#include <string>

#include "emulator/machine.h"
#include "emulator/options.h"

namespace emulator {

inline std::string text(uint3 v) {
  return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
}

// The lane of the warp that goes on, null if all of them wait.
inline Thread* next_lane(const Warp& warp) {
  if (!warp.ready) return nullptr;
  const int lane = options().seed & 1 ? 31 - __builtin_clz(warp.ready) : __builtin_ctz(warp.ready);
  return &warp.threads[lane];
}

inline void retire(Machine& m, Thread& thread);

// Runs threads of one warp, one after the other, on one stack.
inline void run_threads() {
  Machine& m = *machine;
  arrive_on_fresh_stack(m.scheduler);
  for (;;) {
    try {
      (*m.kernel)();
    } catch (const Failure& failure) {
      m.error = failure.message;
    }
    Thread& done = *m.current;
    const Stack stack = done.stack;
    retire(m, done);
    Thread* next = m.error.empty() ? next_lane(*done.warp) : nullptr;
    if (next && !next->started) {  // it may have this stack: nothing to switch
      next->started = true;
      next->stack = stack;
      m.current = next;
      threadIdx = next->index;
      continue;
    }
    m.stacks.give(stack);
    m.current = next;
    if (next) threadIdx = next->index;
    switch_context(done.context, next ? next->context : m.scheduler, true);
  }
}

inline void resume(Machine& m, Thread& thread, Context& from) {
  if (!thread.started) {
    thread.started = true;
    thread.stack = m.stacks.take();
    prepare(thread.context, thread.stack, run_threads);
  }
  m.current = &thread;
  threadIdx = thread.index;
  switch_context(from, thread.context);
}

// Leaves the calling thread until somebody makes it ready.
inline void suspend(Machine& m) {
  Thread& me = *m.current;
  if (Thread* next = next_lane(*me.warp)) {
    resume(m, *next, me.context);
  } else {
    m.current = nullptr;
    switch_context(me.context, m.scheduler);
  }
}

inline void make_ready(Thread& thread) {
  thread.warp->ready |= 1u << thread.lane;
}

inline void wait(const Waiting& what) {
  Thread& me = current();
  me.waiting = what;
  me.warp->ready &= ~(1u << me.lane);
  suspend(*machine);
}

// Does asynchronous work now, or leaves it to the scheduler.
inline void do_async(std::function<void()> work) {
  if (options().eager) return work();
  machine->pending.push_back(std::move(work));
}

// Ends the launch with a message.
[[noreturn]] inline void fail(const std::string& message, Site site) {
  const Thread& me = current();
  throw Failure{message + " [" + text(site) + ", block " + text(me.block->index) + ", thread " + text(me.index) + "]"};
}

// The block barrier opens when every thread that has not ended is there.
inline void open_block_barrier(Block& block) {
  block.at_barrier = 0;
  for (int i = 0; i < block.warp_count; i++) block.warps[i].ready = block.warps[i].unfinished;
}

inline void open_cluster_barrier(Machine& m) {
  m.at_cluster_barrier = 0;
  for (Warp& warp : m.warps) warp.ready = warp.unfinished;
}

inline void retire(Machine& m, Thread& thread) {
  const uint32_t bit = 1u << thread.lane;
  thread.warp->unfinished &= ~bit;
  thread.warp->ready &= ~bit;
  Block& block = *thread.block;
  block.unfinished--;
  m.unfinished--;
  if (block.at_barrier && block.at_barrier == block.unfinished) open_block_barrier(block);
  if (m.at_cluster_barrier && m.at_cluster_barrier == m.unfinished) open_cluster_barrier(m);
}

inline std::string describe(const Waiting& w) {
  std::string s = w.operation;
  if (w.detail) s += " " + w.detail(w.object, w.value);
  return s + " (" + text(w.site) + ")";
}

// Nobody can go on: says what everybody waits for.
inline std::string deadlock(const Machine& m) {
  struct Group {
    int threads = 0;
    const Thread* first = nullptr;
  };
  std::map<std::string, Group> groups;
  for (const Block& block : m.blocks) {
    for (int i = 0; i < block.thread_count; i++) {
      const Thread& thread = block.threads[i];
      if (!(thread.warp->unfinished >> thread.lane & 1)) continue;
      Group& group = groups[describe(thread.waiting)];
      if (!group.threads++) group.first = &thread;
    }
  }
  std::string report = "deadlock:";
  for (const auto& [what, group] : groups) {
    report += " " + std::to_string(group.threads) + " threads wait at " + what + ", the first " +
              text(group.first->index) + " of block " + text(group.first->block->index) + ";";
  }
  return report + " " + std::to_string(m.threads.size() - m.unfinished) + " have ended";
}

// Runs the blocks that are set up in the machine to their end, or to the first error.
inline void run_to_end(Machine& m) {
  std::vector<int> order(m.warps.size());
  std::iota(order.begin(), order.end(), 0);
  while (m.unfinished) {
    if (options().seed) {
      for (size_t i = order.size() - 1; i > 0; i--) std::swap(order[i], order[m.next_random() % (i + 1)]);
    }
    bool progress = false;
    for (int w : order) {
      Warp& warp = m.warps[w];
      Thread* next = next_lane(warp);
      if (!next) continue;
      blockIdx = warp.block->index;
      resume(m, *next, m.scheduler);
      if (!m.error.empty()) return;
      progress = true;
    }
    if (progress) continue;
    if (m.pending.empty()) {
      m.error = deadlock(m);
      return;
    }
    const size_t which = options().seed ? m.next_random() % m.pending.size() : 0;
    const std::function<void()> work = std::move(m.pending[which]);
    m.pending.erase(m.pending.begin() + which);
    work();
    if (!m.error.empty()) return;
  }
  if (!m.pending.empty()) m.error = "the kernel has ended while copies to its shared memory were under way";
}

}  // namespace emulator
