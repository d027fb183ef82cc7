// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/describe.hpp>

#include "api/gap.h"
#include "report/analysis.h"
#include "report/format.h"
#include "report/report.h"

namespace faultline::report {
namespace {

const api::InjectionStatus* status_of(const api::NodeRecord& node, const std::string& pod,
                                      std::size_t index) {
  const auto found = std::ranges::find_if(node.injections, [&](const api::InjectionStatus& s) {
    return s.index == static_cast<std::int64_t>(index) && s.pod.id() == pod;
  });
  return found == node.injections.end() ? nullptr : &*found;
}

std::string asked_of(const api::Fault& fault, const api::Target& target) {
  const std::string containers = container_words(target);
  return asked_words(fault) + (containers.empty() ? "" : ", only in " + containers);
}

api::InjectionReport row_of(const api::Fault& fault, const api::Target& target,
                            const api::InjectionStatus& status, const std::string& node,
                            const JudgedPlace& place) {
  api::InjectionReport row{.pod = status.pod.id(),
                           .node = node,
                           .fault = std::string(fault.name()),
                           .mechanism = status.mechanism,
                           .asked = asked_of(fault, target),
                           .matched = status.matched,
                           .injected = status.injected,
                           .errors = status.errors,
                           .lost = status.lost,
                           .stalled = status.stalled,
                           .heldAtEnd = status.heldAtEnd + (place.end_untold ? status.held : 0),
                           .armedSeconds = status.armedSeconds,
                           .phaseSeconds = place.phase_seconds,
                           .byErrno = status.byErrno,
                           .byCall = status.byCall,
                           .firstInjectedAt = status.firstInjectedAt,
                           .lastInjectedAt = status.lastInjectedAt};
  judge(fault, status, row, place);
  return row;
}

// How long the faults were to act on the pod: the length that was asked, or as long as the run let
// the phase last, from when the pod was in the run. A stop by hand is not the failure of the fault.
// That the pod went away is not either, but it is told.
std::optional<double> phase_seconds(const api::RunRecord& record, const api::RunPod& pod) {
  const auto begin =
      std::ranges::find(record.history, api::RunState::Injecting, &api::PhaseMark::state);
  if (begin == record.history.end()) return std::nullopt;
  UtcTime from = begin->at.value;
  UtcTime to = from + record.experiment.spec.phases.fault.value;
  if (const auto end = std::next(begin); end != record.history.end())
    to = std::min(to, end->at.value);
  if (pod.joinedAt.set()) from = std::max(from, pod.joinedAt.value);
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

// Its last word is that the fault is armed, and it never told the end of the run.
bool end_untold(const api::RunRecord& record, const api::NodeRecord& node,
                const api::InjectionStatus& status) {
  const bool over = record.state == api::RunState::Completed ||
                    record.state == api::RunState::Aborted || record.state == api::RunState::Failed;
  return status.state == api::InjectionState::armed && !node.closed && (node.lost || over);
}

// What the collectors of the pod saw go past our hooks, or before them, while the fault was armed.
std::string bypass_of(const api::Fault& fault, const api::NodeRecord& node,
                      const api::InjectionStatus& status) {
  const api::NetworkFilter* filter = api::network_filter(fault);
  if (filter == nullptr || std::holds_alternative<api::SocketError>(fault.spec)) return "";
  std::uint64_t missed = 0, of = 0;
  std::string words;
  for (const api::Gap& gap : node.gaps) {
    if (gap.metric != api::kBypass || gap.pod != status.pod.id()) continue;
    if (!status.armedAt.set() || gap.to < status.armedAt) continue;
    if (status.disarmedAt.set() && !(gap.from < status.disarmedAt)) continue;
    // Counted packets are those that came into the pod past its host-side device. networkLoss takes
    // what a pod receives within the pod.
    if (gap.missed && gap.of &&
        (filter->direction == api::Direction::to ||
         std::holds_alternative<api::NetworkLoss>(fault.spec)))
      continue;
    missed += gap.missed.value_or(0);
    of += gap.of.value_or(0);
    if (words.empty()) words = gap.reason;
  }
  return missed == 0 ? words : count_words(missed) + " of " + count_words(of) + " " + words;
}

// What to say of a fault that no agent ever reported on a target pod.
api::InjectionStatus unreported(const api::RunRecord& record, const api::RunPod& pod) {
  api::InjectionStatus status{.pod = pod.pod, .state = api::InjectionState::blocked};
  const bool reached = std::ranges::any_of(record.history, [](const api::PhaseMark& mark) {
    return mark.state == api::RunState::Injecting;
  });
  status.reason = reached ? "the agent of node " + pod.pod.node + " never reported this fault"
                          : "the run ended before the fault was armed";
  return status;
}

}  // namespace

std::vector<api::InjectionReport> injections_of(const api::RunRecord& record) {
  const std::vector<api::Fault>& faults = record.experiment.spec.faults;
  std::vector<api::InjectionReport> rows;
  for (const api::RunPod& pod : record.pods) {
    if (pod.role != api::PodRole::target) continue;
    for (std::size_t i = 0; i < faults.size(); ++i) {
      // The newest agent of the pod's node knows; a pod is on one node.
      const api::InjectionStatus* status = nullptr;
      JudgedPlace place{.phase_seconds = phase_seconds(record, pod)};
      std::string node = pod.pod.node;
      for (const api::NodeRecord& candidate : record.nodes)
        if (const auto* found = status_of(candidate, pod.pod.id(), i)) {
          status = found;
          node = candidate.node;
          place.end_untold = end_untold(record, candidate, *found);
          place.bypass = bypass_of(faults[i], candidate, *found);
        }
      rows.push_back(row_of(faults[i], record.experiment.spec.target,
                            status ? *status : unreported(record, pod), node, place));
    }
  }
  return rows;
}

std::optional<UtcTime> first_injected(const std::vector<api::InjectionReport>& rows) {
  std::optional<UtcTime> first;
  for (const api::InjectionReport& row : rows)
    if (row.firstInjectedAt.set())
      first = std::min(first.value_or(UtcTime::max()), row.firstInjectedAt.value);
  return first;
}

std::optional<UtcTime> last_injected(const std::vector<api::InjectionReport>& rows) {
  std::optional<UtcTime> last;
  for (const api::InjectionReport& row : rows)
    if (row.lastInjectedAt.set())
      last = std::max(last.value_or(UtcTime{}), row.lastInjectedAt.value);
  return last;
}

}  // namespace faultline::report
