// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/helper_process.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

namespace faultline::agent {
namespace {

void close_between(unsigned first, unsigned last) {
  if (first <= last) (void)::syscall(SYS_close_range, first, last, 0);
}

bool holds(const MemoryRange& range, const void* at) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  const auto begin = reinterpret_cast<std::uintptr_t>(range.begin);
  return address >= begin && address - begin < range.size;
}

}  // namespace

ProcessMemory memory_of_process() {
  ProcessMemory memory;
  std::ifstream maps("/proc/self/maps");
  const void* end_of_file = nullptr;  // of the mapping before this one, if it is a file's
  for (std::string line; std::getline(maps, line);) {
    void *begin = nullptr, *end = nullptr;
    char mode[5] = {};
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(), "%p-%p %4s %*s %*s %lu", &begin, &end, mode, &inode) < 4)
      continue;
    const MemoryRange range{
        begin, static_cast<std::size_t>(static_cast<char*>(end) - static_cast<char*>(begin))};
    const bool is_bss = end_of_file == begin;
    if (inode != 0) end_of_file = end;
    if (line.find("anon_inode:bpf-map") != std::string::npos) {
      memory.bpf.push_back(range);
    } else if (inode == 0 && std::string_view(mode) == "rw-p" && !is_bss &&
               line.find("[stack]") == std::string::npos &&
               !holds(range, __builtin_frame_address(0)) &&
               !holds(range, __builtin_thread_pointer())) {
      memory.heap.push_back(range);
    }
  }
  return memory;
}

pid_t clone_into_cgroup(int cgroup, int& pidfd) {
  clone_args arguments{};
  arguments.flags = CLONE_INTO_CGROUP | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<__u64>(cgroup);
  return static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

void close_all_but(int a, int b) {
  int next = 0;
  for (const int kept : {std::min(a, b), std::max(a, b)}) {
    if (kept < next) continue;
    if (kept > next) close_between(static_cast<unsigned>(next), static_cast<unsigned>(kept) - 1);
    next = kept + 1;
  }
  close_between(static_cast<unsigned>(next), ~0U);
}

}  // namespace faultline::agent
