// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/packet_budget.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "agent/kernel/cgroup2.h"

namespace faultline::agent {
namespace {

std::size_t default_limit() {
  std::ifstream in("/proc/self/cgroup");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (const auto mount = find_cgroup2_mount())
    if (const auto limit = process_memory_limit(text, *mount)) return *limit / 2;
  const auto pages = static_cast<std::size_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 4;
}

}  // namespace

PacketBudget& PacketBudget::of_process() {
  static PacketBudget budget(default_limit());
  return budget;
}

bool PacketBudget::take(std::size_t bytes) {
  std::size_t used = used_.load(std::memory_order_relaxed);
  do {
    const std::size_t most = limit();
    if (used > most || most - used < bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

std::optional<std::uint64_t> process_memory_limit(const std::string& proc_self_cgroup,
                                                  const std::string& mount) {
  std::istringstream lines(proc_self_cgroup);
  std::filesystem::path path;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("0::/")) path = line.substr(4);
  std::optional<std::uint64_t> least;
  for (;; path = path.parent_path()) {
    std::ifstream in(std::filesystem::path(mount) / path / "memory.max");
    if (std::uint64_t bytes = 0; in >> bytes) least = std::min(bytes, least.value_or(bytes));
    if (path.empty()) return least;
  }
}

}  // namespace faultline::agent
