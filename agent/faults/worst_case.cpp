// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/worst_case.h"

#include <cstdio>

#include "agent/faults/delay_line/delay_model.h"
#include "agent/faults/narrow_link/narrow_link.h"
#include "edt_abi.h"

namespace faultline::agent {
namespace {

bool has_filter(const api::NetworkFilter& filter) {
  return !filter.cidrs.empty() || !filter.ports.empty() || !filter.podPorts.empty() ||
         !filter.peerPorts.empty() || filter.protocol != api::Protocol::any || filter.peer ||
         !filter.interfaces.empty() || filter.except;
}

std::string mib(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f MiB", bytes / (1 << 20));
  return text;
}

Result<> held(double bytes, const std::string& why, std::size_t most_bytes) {
  if (bytes <= static_cast<double>(most_bytes)) return {};
  return fail(Errc::kUnsupported, "packets that wait could hold " + mib(bytes) + " (" + why +
                                      "); all of this agent may hold " +
                                      mib(static_cast<double>(most_bytes)) +
                                      ", by its memory limit or the machine's memory");
}

}  // namespace

Result<> fits(const api::NetworkLatency& spec, const std::optional<PodTraffic>& before,
              std::size_t most_bytes) {
  if (!before || has_filter(spec)) return {};
  double a_second = 0;
  for (const PodTraffic::Way* way : {&before->to, &before->from}) {
    if (spec.direction == api::Direction::to && way == &before->from) continue;
    if (spec.direction == api::Direction::from && way == &before->to) continue;
    // Large ones come in pieces of many packets, which wait as one.
    const bool large = way->bytes > 1000 * way->packets;
    a_second += way->bytes + (large ? 0 : way->packets * FL_EDT_PACKET_OVERHEAD);
  }
  const double seconds = std::chrono::duration<double>(DelayModel(spec, 0).high()).count();
  char why[96];
  std::snprintf(why, sizeof why, "%.1f MiB a second before the faults, for %.3g s",
                a_second / (1 << 20), seconds);
  return held(a_second * seconds * spec.probability.value, why, most_bytes);
}

Result<> fits(const api::NetworkBandwidth& spec, std::size_t most_bytes) {
  const double ways = spec.direction == api::Direction::both ? 2 : 1;
  return held(ways * static_cast<double>(link_queue_bytes(link_config(spec))),
              "the queue of the link", most_bytes);
}

}  // namespace faultline::agent
