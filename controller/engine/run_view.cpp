// SPDX-License-Identifier: Apache-2.0
// What a run tells about itself.
#include <algorithm>

#include "api/gameday.h"
#include "controller/engine/run.h"
#include "controller/gameday/words.h"
#include "report/format.h"

namespace faultline::controller {
namespace {

double seconds(std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

std::optional<api::DesiredRun> Run::desired(const std::string& node, const std::string& instance,
                                            Instant now) const {
  const auto member = members_.find(node);
  if (member == members_.end() || in(RunStep::kClosing, RunStep::kOver)) return std::nullopt;
  if (!member->second.instance.empty() && member->second.instance != instance) return std::nullopt;
  api::DesiredRun desired{.run = head_.run,
                          .experiment = head_.experiment,
                          .matching = head_.matching,
                          .leaseSeconds = seconds(times_.lease),
                          .peers = peers_};
  // Agents say nothing of a surprise. Nobody else's experiment is hushed up by writing that there.
  if (!gameday::is_quiet(head_))
    desired.experiment.metadata.annotations.erase(std::string(api::kQuietNote));
  if (in(RunStep::kArming, RunStep::kFault)) {
    desired.phase = api::RunPhase::fault;
    // While some node is still arming, the phase itself has not begun.
    const SteadyTime begins = step_ == RunStep::kArming ? step_since_ + times_.answer : step_since_;
    desired.faultSecondsLeft =
        std::max(0.0, seconds(begins + head_.experiment.spec.phases.fault.value - now.steady));
  }
  if (in(RunStep::kDisarming, RunStep::kRecovery)) desired.phase = api::RunPhase::recovery;
  for (const api::RunPod& pod : head_.pods) {
    if (pod.leftAt.set()) continue;
    if (pod.role == api::PodRole::target) ++desired.targets;
    if (pod.pod.node == node) desired.pods.push_back(pod);
  }
  return desired;
}

api::RunSummary Run::summary(Instant now) const {
  api::RunSummary out{.run = head_.run,
                      .name = head_.experiment.metadata.name,
                      .namespace_ = head_.experiment.metadata.namespace_,
                      .state = head_.state,
                      .stateReason = head_.stateReason,
                      .startedAt = head_.history.front().at};
  const api::Phases& phases = head_.experiment.spec.phases;
  if (!over()) out.phaseElapsed = std::max(0.0, seconds(now.steady - phase_since_));
  if (head_.state == api::RunState::Baseline) out.phaseTotal = phases.baseline.seconds();
  if (head_.state == api::RunState::Injecting) out.phaseTotal = phases.fault.seconds();
  if (head_.state == api::RunState::Recovering) out.phaseTotal = seconds(recovery_length_);
  if (out.phaseTotal) out.phaseElapsed = std::min(*out.phaseElapsed, *out.phaseTotal);
  for (const auto& [key, injection] : injections_) out.injections.push_back(injection);
  for (const auto& [pod, window] : newest_) out.effects.push_back(window);
  return out;
}

api::RunRecord Run::recent() const {
  api::RunRecord record = head_;
  std::map<std::string, api::NodeRecord*> nodes;
  for (api::NodeRecord& node : record.nodes) {
    nodes[node.node] = &node;
    if (const auto windows = fault_windows_.find(node.node); windows != fault_windows_.end())
      node.windows = windows->second;
    if (const auto gaps = fault_gaps_.find(node.node); gaps != fault_gaps_.end())
      node.gaps = gaps->second;
  }
  for (const auto& [key, injection] : injections_)
    if (const auto node = nodes.find(injection.pod.node); node != nodes.end())
      node->second->injections.push_back(injection);
  return record;
}

SteadyTime Run::next_deadline() const {
  const api::Phases& phases = head_.experiment.spec.phases;
  SteadyTime next = SteadyTime::max();
  if (over()) return next;
  if (step_ != RunStep::kMeasuring && !patient_)
    for (const auto& [node, member] : members_)
      if (!member.lost && !member.closed)
        next = std::min(next, member.last_contact + times_.lease + std::chrono::milliseconds(1));
  switch (step_) {
    case RunStep::kMeasuring:
    case RunStep::kBaseline:
      for (const auto& [node, member] : members_)
        if (!member.measuring) next = std::min(next, member.measuring_by);
      if (step_ == RunStep::kBaseline && every(&Member::measuring))
        next = std::min<SteadyTime>(next, phase_end(phases.baseline.value));
      return next;
    case RunStep::kFault:
      return std::min<SteadyTime>(next, phase_end(phases.fault.value));
    case RunStep::kRecovery:
      return std::min<SteadyTime>(next, phase_end(recovery_length_));
    case RunStep::kArming:
    case RunStep::kDisarming:
      return std::min<SteadyTime>(next, step_since_ + times_.answer);
    case RunStep::kClosing:
      return std::min<SteadyTime>(
          next, step_since_ + (awaits_monitoring_ && every(&Member::closed) ? times_.monitoring
                                                                            : times_.answer));
    case RunStep::kOver:
      break;
  }
  return next;
}

bool Run::every(bool Member::*flag) const {
  return std::ranges::all_of(members_,
                             [flag](const auto& m) { return m.second.lost || m.second.*flag; });
}

std::string Run::missing(bool Member::*flag) const {
  std::vector<std::string> nodes;
  for (const auto& [node, member] : members_)
    if (!member.lost && !(member.*flag)) nodes.push_back(node);
  return report::join(nodes, ", ");
}

bool Run::any_alive() const {
  return std::ranges::any_of(members_,
                             [](const auto& m) { return !m.second.lost && !m.second.closed; });
}

std::optional<std::string> Run::all_blocked() const {
  const std::size_t faults = head_.experiment.spec.faults.size();
  std::string first;
  for (const api::RunPod& pod : head_.pods) {
    if (pod.role != api::PodRole::target) continue;
    for (std::size_t i = 0; i < faults; ++i) {
      const auto status = injections_.find({pod.pod.id(), static_cast<std::int64_t>(i)});
      if (status == injections_.end() || status->second.state != api::InjectionState::blocked)
        return std::nullopt;
      if (first.empty())
        first = status->second.fault + " on " + pod.pod.id() + ": " + status->second.reason;
    }
  }
  if (first.empty()) return std::nullopt;
  return "not real: no fault could be armed on any target (" + first + ")";
}

}  // namespace faultline::controller
