// Launches: spreads the blocks of a grid over threads of the operating system.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "emulator/scheduler.h"

namespace emulator {

struct Shape {
  dim3 grid, block;
  size_t dynamic_shared_bytes = 0;
  unsigned cluster = 1;  // blocks of a cluster, along x
};

// Machines are kept between launches: their stacks are warm.
class Machines {
 public:
  std::unique_ptr<Machine> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::make_unique<Machine>();
    std::unique_ptr<Machine> machine = std::move(free_.back());
    free_.pop_back();
    return machine;
  }
  void give(std::unique_ptr<Machine> machine) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(machine));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Machine>> free_;
};

inline Machines& machines() {
  static Machines machines;
  return machines;
}

// Makes room for the blocks of one cluster. What stays the same from block to block is set here.
inline void shape_machine(Machine& m, const Shape& shape) {
  const dim3 d = shape.block;
  const int count = d.x * d.y * d.z, warps = (count + 31) / 32, blocks = shape.cluster;
  m.threads.resize(count * blocks);
  m.warps.resize(warps * blocks);
  m.blocks.resize(blocks);
  m.shared.clear();
  m.scheduler = {};
  for (int b = 0; b < blocks; b++) {
    Block& block = m.blocks[b];
    block.rank = b;
    block.threads = &m.threads[b * count];
    block.warps = &m.warps[b * warps];
    block.thread_count = count;
    block.warp_count = warps;
    block.shared_bytes = shape.dynamic_shared_bytes;
    m.shared.emplace_back(new (std::align_val_t(1024)) unsigned char[shape.dynamic_shared_bytes]);
    block.shared = m.shared.back().get();
    for (int w = 0; w < warps; w++) {
      block.warps[w].block = &block;
      block.warps[w].index = w;
      block.warps[w].threads = block.threads + w * 32;
    }
    for (int i = 0; i < count; i++) {
      Thread& thread = block.threads[i];
      thread.lane = i % 32;
      thread.index = {i % d.x, i / d.x % d.y, i / (d.x * d.y)};
      thread.warp = &block.warps[i / 32];
      thread.block = &block;
      thread.started = false;
    }
  }
}

// All blocks of the machine at their first instruction, with nothing in shared memory that a kernel could want.
inline void start_blocks(Machine& m, const Shape& shape, size_t first_block) {
  const dim3 grid = shape.grid;
  m.pending.clear();
  m.phase_waiters.clear();
  m.at_cluster_barrier = 0;
  m.random = 12345u + 7919u * options().seed + 2654435761u * static_cast<uint32_t>(first_block);
  m.unfinished = static_cast<int>(m.threads.size());
  for (Block& block : m.blocks) {
    const size_t i = first_block + block.rank;
    block.index = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                   static_cast<unsigned>(i / grid.x / grid.y)};
    block.unfinished = block.thread_count;
    block.unfenced = 0;
    block.at_barrier = 0;
    block.warpgroups.assign(block.warp_count / 4, {});
    for (NamedBarrier& barrier : block.named) {
      barrier.expected = barrier.arrived = 0;
      barrier.waiters.clear();
    }
    std::memset(block.shared, 0xFF, block.shared_bytes);
  }
  for (Warp& warp : m.warps) {
    const int lanes = std::min(32, warp.block->thread_count - warp.index * 32);
    warp.unfinished = warp.ready = lanes == 32 ? ~0u : (1u << lanes) - 1;
    for (Gathering& gathering : warp.gatherings) gathering.arrived = 0;
    warp.gatherings_used = 0;
  }
  for (Thread& thread : m.threads) {
    thread.started = false;
    thread.copies.clear();
    thread.copied = thread.unfenced = false;
  }
}

inline void abandon(Machine& m) {
  for (Thread& thread : m.threads) {
    if (thread.started && (thread.warp->unfinished >> thread.lane & 1)) m.stacks.give_abandoned(thread.stack);
  }
}

// What a device would refuse to launch, or null.
inline const char* refused(const Shape& shape) {
  const dim3 g = shape.grid, b = shape.block;
  if (!g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535) return "invalid grid";
  if (!b.x || !b.y || !b.z || size_t(b.x) * b.y * b.z > 1024 || b.z > 64) return "invalid block";
  if (shape.dynamic_shared_bytes > 227 * 1024) return "more than 227 KiB of dynamic shared memory";
  if (!shape.cluster || shape.cluster > 8 || g.x % shape.cluster) return "the grid is not a multiple of the cluster";
  return nullptr;
}

// Runs a kernel's body for every thread of the grid. Returns null, or what went wrong (valid until the next launch).
inline const char* run_grid(const char* name, const Shape& shape, const std::function<void()>& body) {
  static thread_local std::string report;
  report.clear();
  std::mutex mutex;
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  const size_t total = size_t(shape.grid.x) * shape.grid.y * shape.grid.z / shape.cluster;

  std::string& error = report;  // the caller's, for the workers
  auto work = [&] {
    std::unique_ptr<Machine> mine = machines().take();
    Machine& m = *mine;
    m.kernel = &body;
    shape_machine(m, shape);
    machine = &m;
    blockDim = shape.block;
    gridDim = shape.grid;
    for (size_t i; !failed && (i = next++) < total;) {
      m.error.clear();
      start_blocks(m, shape, i * shape.cluster);
      run_to_end(m);
      if (m.error.empty()) continue;
      abandon(m);
      std::lock_guard<std::mutex> lock(mutex);
      if (!failed.exchange(true)) error = std::string(name) + ": " + m.error;
    }
    machine = nullptr;
    machines().give(std::move(mine));
  };

  if (const char* why = refused(shape)) {
    report = std::string(name) + ": " + why;
    return report.c_str();
  }
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min<size_t>(std::max(1, options().threads), total); i++) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  return failed ? report.c_str() : nullptr;
}

template <class... Parameters, class... Arguments>
const char* launch(const char* name, const Shape& shape, void (*kernel)(Parameters...), Arguments&&... arguments) {
  const std::tuple<std::decay_t<Parameters>...> values(std::forward<Arguments>(arguments)...);
  return run_grid(name, shape, [&] { std::apply(kernel, values); });
}

}  // namespace emulator
