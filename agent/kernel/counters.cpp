// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/counters.h"

#include <algorithm>

#include "agent/kernel/fd.h"

namespace faultline::agent {

Result<fl_counters> read_counters(int map_fd) {
  const auto values = read_per_cpu<fl_counters>(map_fd);
  if (!values) return fail(values.error());
  fl_counters total{};
  for (const fl_counters& c : *values) {
    total.matched += c.matched;
    total.injected += c.injected;
    total.errors += c.errors;
    total.lost_events += c.lost_events;
    if (c.first_ns != 0 && (total.first_ns == 0 || c.first_ns < total.first_ns))
      total.first_ns = c.first_ns;
    total.last_ns = std::max(total.last_ns, c.last_ns);
  }
  return total;
}

std::uint64_t recursion_misses(int program_fd) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) return 0;
  return info.recursion_misses;
}

std::uint64_t recursion_misses_of_link(int link_fd) {
  bpf_link_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(link_fd, &info, &size) != 0) return 0;
  const Fd program(bpf_prog_get_fd_by_id(info.prog_id));
  return program.valid() ? recursion_misses(program.get()) : 0;
}

}  // namespace faultline::agent
