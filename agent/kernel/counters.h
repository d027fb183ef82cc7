// SPDX-License-Identifier: Apache-2.0
// Reading per-CPU values.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "fault_abi.h"

namespace faultline::agent {

// One value of each possible CPU, of the entry `key` of a per-CPU array or hash map.
template <class T, class Key = std::uint32_t>
Result<std::vector<T>> read_per_cpu(int map_fd, const Key& key = {}) {
  // The kernel copies each value in steps of 8 bytes.
  static_assert(sizeof(T) % 8 == 0 && std::is_trivially_copyable_v<T>);
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return fail(from_libbpf(cpus, "cannot count CPUs"));
  std::vector<T> values(static_cast<std::size_t>(cpus));
  if (const int rc = bpf_map_lookup_elem(map_fd, &key, values.data()); rc != 0)
    return fail(from_libbpf(rc, "cannot read counters"));
  return values;
}

// The map fl_counters: sums, the earliest first_ns, the latest last_ns.
Result<fl_counters> read_counters(int map_fd);

// How often the kernel left out a program because it was running on that CPU already: events that
// it did not see. Counted for tracing programs and LSM hooks. 0 where it cannot be read.
std::uint64_t recursion_misses(int program_fd);
// The same of the program of a link.
std::uint64_t recursion_misses_of_link(int link_fd);

}  // namespace faultline::agent
