// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/counters.h"

#include <algorithm>

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

}  // namespace faultline::agent
