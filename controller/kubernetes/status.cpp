// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/status.h"

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>

#include "api/strings.h"
#include "base/printable.h"
#include "report/format.h"
#include "report/story.h"

namespace faultline::controller {
namespace {

using api::ConditionStatus;
using api::ConditionType;

struct Told {
  ConditionStatus status = ConditionStatus::Unknown;
  std::string reason, message;
};

class Conditions {
 public:
  Conditions(const api::ExperimentStatus& before, std::int64_t generation, UtcTime now)
      : before_(before), generation_(generation), now_(now) {}

  void add(ConditionType type, Told told) {
    api::Condition condition{type,   told.status, std::move(told.reason), std::move(told.message),
                             {now_}, generation_};
    for (const api::Condition& old : before_.conditions)
      if (old.type == type && old.status == told.status)
        condition.lastTransitionTime = old.lastTransitionTime;
    conditions_.push_back(std::move(condition));
  }
  std::vector<api::Condition> take() { return std::move(conditions_); }

 private:
  const api::ExperimentStatus& before_;
  std::int64_t generation_;
  UtcTime now_;
  std::vector<api::Condition> conditions_;
};

// kubectl and whoever else shows the status writes it to a terminal as it is.
api::ExperimentStatus shown(api::ExperimentStatus status) {
  api::for_each_text(status, [](std::string& text) { text = printable(text); });
  return status;
}

Told waiting() { return {ConditionStatus::Unknown, "Waiting", "not that far yet"}; }

// What the newest word on each fault of each target is.
std::vector<const api::InjectionStatus*> injections_of(const api::RunRecord& head) {
  std::vector<const api::InjectionStatus*> all;
  for (const api::NodeRecord& node : head.nodes)
    for (const api::InjectionStatus& injection : node.injections) all.push_back(&injection);
  std::ranges::sort(all, {},
                    [](const api::InjectionStatus* i) { return std::pair(i->pod.id(), i->index); });
  return all;
}

std::string lost_nodes(const api::RunRecord& head) {
  std::vector<std::string> lost;
  for (const api::NodeRecord& node : head.nodes)
    if (node.lost) lost.push_back(node.node);
  return report::join(lost, ", ");
}

Told armed(const api::RunRecord& head, std::size_t targets) {
  const std::size_t wanted = targets * head.experiment.spec.faults.size();
  if (wanted == 0) return {ConditionStatus::False, "NoFaults", "the experiment only measures"};
  std::size_t armed = 0, were = 0;
  for (const api::InjectionStatus* injection : injections_of(head)) {
    if (injection->state == api::InjectionState::blocked)
      return {ConditionStatus::False, "Blocked",
              injection->fault + " on " + injection->pod.id() + ": " + injection->reason};
    armed += injection->state == api::InjectionState::armed ? 1 : 0;
    were += injection->armedAt.set() || injection->state == api::InjectionState::armed ? 1 : 0;
  }
  // A node that was lost never says that it disarmed; its last word is not what is.
  if (is_final(head.state)) {
    const std::string ended = std::to_string(were) + " of " + std::to_string(wanted) +
                              " faults were armed; the run is over";
    if (were == 0) return {ConditionStatus::False, "NeverArmed", ended};
    const std::string lost = lost_nodes(head);
    if (lost.empty()) return {ConditionStatus::False, "Disarmed", ended};
    return {ConditionStatus::False, "LeaseEnded",
            ended + ". Not heard of any more: " + lost + "; faults there ended with their lease"};
  }
  const std::string count = std::to_string(armed) + " of " + std::to_string(wanted);
  if (armed == wanted) return {ConditionStatus::True, "AllArmed", count + " faults are armed"};
  const bool begun = std::ranges::any_of(head.history, [](const api::PhaseMark& mark) {
    return mark.state == api::RunState::Injecting;
  });
  if (!begun) return waiting();
  return {ConditionStatus::False, "Disarmed", count + " faults are armed"};
}

Told recovered(const api::RunRecord& head, const api::Report* report) {
  if (report == nullptr) return waiting();
  if (!report->residue) {
    const std::string lost = lost_nodes(head);
    return {ConditionStatus::Unknown, "NotChecked",
            (lost.empty() ? "a node" : lost) +
                " could not be asked what is left; faults there ended with their lease"};
  }
  if (report->residue->empty())
    return {ConditionStatus::True, "NothingLeft",
            "residue: none. Effects: " + report->recovery.text};
  return {ConditionStatus::False, "Residue", report::join(*report->residue, "; ")};
}

std::string verdict_word(api::RunVerdict verdict) {
  switch (verdict) {  // no default: a new verdict must be given its word here
    case api::RunVerdict::met:
      return "Met";
    case api::RunVerdict::missed:
      return "Missed";
    case api::RunVerdict::not_real:
      return "NotReal";
    case api::RunVerdict::partial:
      return "Partial";
    case api::RunVerdict::aborted:
      return "Aborted";
    case api::RunVerdict::failed:
      break;
  }
  return "Failed";
}

Told verdict(const api::Report* report) {
  if (report == nullptr) return waiting();
  std::vector<std::string> told;
  for (const api::InjectionReport& injection : report->injections)
    if (injection.verdict != api::InjectionVerdict::confirmed)
      told.push_back(injection.fault + " on " + injection.pod + ": " + injection.reason);
  // What decided the verdict stands first: faults before expectations, unless an expectation did.
  const auto faults = static_cast<std::ptrdiff_t>(told.size());
  for (const api::ExpectationReport& expectation : report->expectations)
    if (!expectation.met) told.push_back(expectation.text + ", measured " + expectation.measured);
  if (report->verdict == api::RunVerdict::missed) std::ranges::rotate(told, told.begin() + faults);
  std::string words = report::join(told, "; ");
  if (words.empty()) words = report->stateReason;
  if (words.empty()) words = report::verdict_reason(*report);
  return {report->verdict == api::RunVerdict::met ? ConditionStatus::True : ConditionStatus::False,
          verdict_word(report->verdict), words};
}

void add_injection(api::ExperimentStatus& status, api::StatusInjection told) {
  status.injected += told.injected;
  if (status.injections.size() == kMostListed) return;
  if (told.matched > 0)
    told.rate = static_cast<double>(told.injected) / static_cast<double>(told.matched);
  status.injections.push_back(std::move(told));
}

// What the report says, where there is one: nobody should find two numbers of one thing.
void add_injections(const api::RunRecord& head, const api::Report* report,
                    api::ExperimentStatus& status) {
  if (report != nullptr) {
    for (const api::InjectionReport& injection : report->injections)
      add_injection(status, {.pod = injection.pod,
                             .fault = injection.fault,
                             .matched = injection.matched,
                             .injected = injection.injected,
                             .verdict = injection.verdict});
    return;
  }
  for (const api::InjectionStatus* injection : injections_of(head))
    add_injection(status, {.pod = injection->pod.id(),
                           .fault = injection->fault,
                           .matched = injection->matched,
                           .injected = injection->injected});
}

void add_detections(const api::Report& report, api::ExperimentStatus& status) {
  constexpr std::size_t kLongestName = 1'000;
  for (const api::DetectionReport& one : report.detections) {
    if (status.detections.size() == kMostListed) return;
    status.detections.push_back({.alert = printable(one.alert, kLongestName),
                                 .verdict = one.verdict,
                                 .seconds = one.seconds,
                                 .floor = one.floor});
  }
}

}  // namespace

bool is_final(api::RunState phase) {
  return phase == api::RunState::Completed || phase == api::RunState::Aborted ||
         phase == api::RunState::Failed;
}

std::string reason_word(Errc code) {
  switch (code) {  // no default: a new Errc must be given its word here
    case Errc::kInvalid:
      return "Invalid";
    case Errc::kNotFound:
      return "NoMatch";
    case Errc::kUnsupported:
      return "Unsupported";
    case Errc::kConflict:
      return "Conflict";
    case Errc::kDenied:
      return "Denied";
    case Errc::kUnavailable:
      return "Unavailable";
    case Errc::kInternal:
      break;
  }
  return "InternalError";
}

api::ExperimentStatus refused_status(const Error& error, const api::ExperimentStatus& before,
                                     std::int64_t generation, UtcTime now) {
  api::ExperimentStatus status{
      .phase = api::RunState::Failed, .reason = error.message, .observedGeneration = generation};
  Conditions conditions(before, generation, now);
  conditions.add(ConditionType::Selected,
                 {ConditionStatus::False, reason_word(error.code), error.message});
  const Told never{ConditionStatus::False, "NeverArmed", "the experiment was refused"};
  conditions.add(ConditionType::Armed, never);
  conditions.add(ConditionType::Recovered,
                 {ConditionStatus::True, "NothingLeft", "nothing was done to any pod"});
  conditions.add(ConditionType::Verdict, {ConditionStatus::False, "Refused", error.message});
  status.conditions = conditions.take();
  status.completedAt = {now};
  return shown(std::move(status));
}

api::ExperimentStatus run_status(const api::RunRecord& head, const api::Report* report,
                                 const api::ExperimentStatus& before, std::int64_t generation,
                                 UtcTime now) {
  api::ExperimentStatus status{.phase = head.state,
                               .reason = head.stateReason,
                               .run = head.run,
                               .observedGeneration = generation,
                               .report = "/api/v1/reports/" + head.run};
  std::size_t targets = 0;
  for (const api::RunPod& pod : head.pods) {
    if (pod.role != api::PodRole::target) continue;
    ++targets;
    if (status.targets.size() < kMostListed)
      status.targets.push_back({pod.pod.namespace_, pod.pod.name, pod.pod.node});
  }
  status.pods = static_cast<std::int64_t>(targets);
  add_injections(head, report, status);
  if (!head.history.empty()) status.startedAt = head.history.front().at;
  if (is_final(head.state) && !head.history.empty()) status.completedAt = head.history.back().at;
  if (report != nullptr) status.verdict = report->verdict;
  if (report != nullptr) add_detections(*report, status);

  Conditions conditions(before, generation, now);
  conditions.add(
      ConditionType::Selected,
      {ConditionStatus::True, "TargetsChosen",
       std::to_string(targets) + " of " +
           report::plural(static_cast<std::size_t>(head.matching), "pod", "pods") + " that match"});
  conditions.add(ConditionType::Armed, armed(head, targets));
  conditions.add(ConditionType::Recovered, recovered(head, report));
  conditions.add(ConditionType::Verdict, verdict(report));
  status.conditions = conditions.take();
  return shown(std::move(status));
}

namespace {

api::ExperimentStatus without_run(const api::ExperimentStatus& before, std::int64_t generation,
                                  UtcTime now, std::string reason) {
  api::ExperimentStatus status = before;
  status.phase = api::RunState::Failed;
  status.reason = std::move(reason);
  status.observedGeneration = generation;
  Conditions conditions(before, generation, now);
  for (const api::Condition& old : before.conditions)
    if (old.type == ConditionType::Selected)
      conditions.add(old.type, {old.status, old.reason, old.message});
  conditions.add(ConditionType::Armed, {ConditionStatus::Unknown, "Lost", status.reason});
  conditions.add(ConditionType::Recovered, {ConditionStatus::Unknown, "Lost", status.reason});
  conditions.add(ConditionType::Verdict, {ConditionStatus::False, "Lost", status.reason});
  status.conditions = conditions.take();
  status.completedAt = {now};
  return shown(std::move(status));
}

}  // namespace

api::ExperimentStatus lost_status(const api::ExperimentStatus& before, std::int64_t generation,
                                  UtcTime now) {
  return without_run(before, generation, now,
                     "the controller that led the run is gone with what it had stored; faults end "
                     "with their lease");
}

api::ExperimentStatus forged_status(std::int64_t generation, UtcTime now) {
  return without_run({}, generation, now,
                     "the status said that it had begun, and named a run that is not of this "
                     "Experiment: no controller wrote that. It does not begin; create it anew");
}

}  // namespace faultline::controller
