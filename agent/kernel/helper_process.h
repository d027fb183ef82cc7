// SPDX-License-Identifier: Apache-2.0
// What processes need that the agent forks and that go on without another program: what they were
// given with their memory and must not keep.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace faultline::agent {

struct MemoryRange {
  void* begin;
  std::size_t size;  // bytes
};

struct ProcessMemory {
  // Maps of our BPF objects. Mapped in a helper, they would keep the objects alive.
  std::vector<MemoryRange> bpf;
  // What the process wrote and no file has: its heaps and the stacks of its threads, but not the
  // calling thread's own, and not the variables of programs and libraries. Kept in a helper, it
  // costs a second copy of each page that the agent writes to.
  std::vector<MemoryRange> heap;
};

// Of this process, now. Before the fork: it reads a file. Thread-safe.
[[nodiscard]] ProcessMemory memory_of_process();

// As fork(2), but the child begins in the cgroup that the directory of cgroup2 `cgroup` is
// (CLONE_INTO_CGROUP, Linux 5.7). `pidfd` is set in the parent, who owns it. -1: errno says why;
// EBADF before anything else is looked at.
pid_t clone_into_cgroup(int cgroup, int& pidfd);

// Closes all descriptors but these two, which may be the same; -1: none. Async-signal-safe.
void close_all_but(int a, int b);

}  // namespace faultline::agent
