// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "agent/link/link.h"
#include "agent/link/run.h"

namespace faultline::agent {

struct AgentFigures {
  LinkCounts link;
  AgentCounts counts;
  std::size_t runs = 0, armed = 0, pods = 0, observed = 0, batches_waiting = 0;
  std::uint64_t windows_dropped = 0;
};

// The agent's own metrics, faultline_agent_*, in the text format of Prometheus.
[[nodiscard]] std::string agent_metrics_text(const AgentFigures& figures);

}  // namespace faultline::agent
