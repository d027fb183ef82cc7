// SPDX-License-Identifier: Apache-2.0
// How much memory all delay lines of this process may hold together, so that waiting packets never
// bring the whole agent, and with it every fault of the node, to the kernel's out-of-memory killer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace faultline::agent {

// Thread-safe: each line's worker takes and gives back chunks.
class PacketBudget {
 public:
  explicit PacketBudget(std::size_t most_bytes) : most_(most_bytes) {}

  // The one of this process. Half of what the process may use (process_memory_limit()), else a
  // quarter of the machine's memory. main() may set another limit before anything is armed.
  static PacketBudget& of_process();

  void set_limit(std::size_t most_bytes) { most_.store(most_bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t limit() const { return most_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t used() const { return used_.load(std::memory_order_relaxed); }

  // False: there is no room, and nothing was taken.
  [[nodiscard]] bool take(std::size_t bytes);
  void give_back(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> most_, used_{0};
};

// The smallest memory.max of the cgroup that `proc_self_cgroup` (text of /proc/self/cgroup) names,
// and of those above it, below `mount`, in bytes; nullopt: none says anything. Inside a container
// that has the node's cgroups mounted, the text does not name a folder there: an agent in a cluster
// is told its limit instead (--memory-limit).
std::optional<std::uint64_t> process_memory_limit(const std::string& proc_self_cgroup,
                                                  const std::string& mount);

}  // namespace faultline::agent
