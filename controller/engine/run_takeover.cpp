// SPDX-License-Identifier: Apache-2.0
// Runs that an earlier controller did not finish.
#include <algorithm>

#include "controller/engine/run.h"
#include "controller/engine/words.h"
#include "report/format.h"

namespace faultline::controller {

using api::RunState;

std::string span_words(std::chrono::nanoseconds d) {
  std::string words = report::seconds_words(std::chrono::duration<double>(d).count());
  const std::size_t point = words.find('.'), unit = words.find(' ');
  if (point == std::string::npos || unit == std::string::npos || point > unit) return words;
  std::size_t end = unit;
  while (words[end - 1] == '0') --end;
  if (end - 1 == point) --end;
  return words.erase(end, unit - end);
}

namespace {

std::string interrupted_words(const api::RunRecord& head, UtcTime last_seen, const RunTimes& times,
                              std::string successor, UtcTime now) {
  const api::PhaseMark& phase = head.history.back();
  const api::Phases& phases = head.experiment.spec.phases;
  const auto after = [&](const api::Duration& length) {
    const auto so_far = std::max(last_seen - phase.at.value, std::chrono::nanoseconds(0));
    return " after " + span_words(so_far) + " of " + span_words(length.value);
  };
  if (last_seen - now > times.lease)
    successor +=
        ", by a clock that is " + span_words(last_seen - now) + " behind what was stored last,";
  const std::string restarted = successor + " ";
  switch (phase.state) {
    case RunState::Baseline:
      return restarted + "during the baseline" + after(phases.baseline);
    case RunState::Injecting:
      return restarted + "during the fault" + after(phases.fault) +
             "; injection ended by the lease (" + span_words(times.lease) +
             ") or when the agent heard of it, whichever came first";
    case RunState::Recovering:
      return restarted + "during the recovery" + after(phases.recovery);
    case RunState::Pending:
    case RunState::Completed:
    case RunState::Aborted:
    case RunState::Failed:
      break;
  }
  return restarted + "before the baseline";
}

bool observes(const api::RunRecord& head, const std::string& pod) {
  return std::ranges::any_of(head.pods, [&](const api::RunPod& known) {
    return known.role == api::PodRole::observed && known.pod.id() == pod;
  });
}

// What batches carry: Run keeps it beside the head.
api::RunRecord without_batches(api::RunRecord record) {
  for (api::NodeRecord& node : record.nodes) {
    node.injections.clear();
    node.windows.clear();
    node.events.clear();
    node.gaps.clear();
  }
  return record;
}

}  // namespace

Run Run::taken_over(const api::RunRecord& full, std::optional<RunState> ending, UtcTime last_seen,
                    RunTimes times, Instant now, const std::string& successor) {
  // One that no agent has heard of does not begin now: whoever asked for it may have been told that
  // it did not.
  const bool begun = std::ranges::any_of(
      full.nodes, [](const api::NodeRecord& node) { return !node.instance.empty(); });
  // A clock that is far behind what was stored cannot tell how long ago that was.
  const auto age = now.utc - last_seen;
  if (ending || !begun || age > times.lease || -age > times.lease)
    return interrupted(without_batches(full), ending, last_seen, times, now, successor);
  Run run(without_batches(full), times, now);
  run.lose_monitoring(successor, last_seen, now);
  run.resume(full, last_seen, now);
  std::string& told = run.head_.history.back().reason;
  told += (told.empty() ? "" : "; ") + successor + " after " +
          span_words(std::max<std::chrono::nanoseconds>(now.utc - run.head_.history.back().at.value,
                                                        std::chrono::nanoseconds(0))) +
          ", and the run went on";
  ++run.head_version_;
  run.advance(now);
  return run;
}

Run Run::interrupted(api::RunRecord head, std::optional<RunState> ending, UtcTime last_seen,
                     RunTimes times, Instant now, const std::string& successor) {
  Run run(std::move(head), times, now);
  run.patient_ = true;
  run.ending_ = ending.value_or(RunState::Failed);
  run.ended_by_ = EndedBy::kCaller;
  if (!ending)
    run.head_.stateReason = interrupted_words(run.head_, last_seen, times, successor, now.utc);
  run.head_.gaps.push_back({"",
                            "",
                            "",
                            {std::min(last_seen, now.utc)},
                            {std::max(last_seen, now.utc)},
                            "the controller was not running"});
  run.lose_monitoring(successor, last_seen, now);
  for (const api::NodeRecord& node : run.head_.nodes) run.members_[node.node].closed = node.closed;
  // Up to when it was seen last something is known of it; of one that was closing, up to when that
  // began.
  api::Timestamp until = {std::clamp(last_seen, run.head_.history.back().at.value,
                                     std::max(now.utc, run.head_.history.back().at.value))};
  if (ending && run.head_.history.back().until.set())
    until = std::min(until, run.head_.history.back().until);
  run.enter(RunStep::kClosing, now);
  run.head_.history.back().until = until;
  run.advance(now);
  return run;
}

// Where it was, by what was stored. Agents get a whole lease to find this controller, and a step
// that waits for their reports its whole time-out.
void Run::resume(const api::RunRecord& full, UtcTime last_seen, Instant now) {
  for (const api::NodeRecord& node : full.nodes) {
    Member& member = members_[node.node];
    member.instance = node.instance;
    member.lost = node.lost;
    member.closed = node.closed;
    member.clock_known = node.clockUncertainty > 0;
    for (std::size_t i = 0; i < head_.gaps.size(); ++i)
      if (head_.gaps[i].node == node.node && head_.gaps[i].pod.empty() && !head_.gaps[i].to.set())
        member.gap = i;
    for (const api::RunEvent& event : node.events) {
      // An agent that was started anew has not measured yet, while its gap is open.
      if (event.kind == api::RunEventKind::measuring) member.measuring = !member.gap;
      if (event.kind == api::RunEventKind::armed) member.armed = true;
      if (event.kind == api::RunEventKind::disarmed) member.disarmed = true;
    }
    for (const api::InjectionStatus& injection : node.injections)
      injections_[{injection.pod.id(), injection.index}] = injection;
    for (const api::EffectWindow& window : node.windows) {
      newest_[window.pod.id()] = window;
      if (window.phase == api::RunPhase::fault && now.utc - window.to.value < kRecent)
        fault_windows_[node.node].push_back(window);
    }
  }
  for (std::size_t i = 0; i < head_.gaps.size(); ++i)
    if (!head_.gaps[i].pod.empty() && !head_.gaps[i].to.set() && observes(head_, head_.gaps[i].pod))
      hit_by_others_[head_.gaps[i].pod] = i;
  const api::PhaseMark& phase = head_.history.back();
  switch (phase.state) {
    case RunState::Baseline:
      step_ = RunStep::kBaseline;
      break;
    case RunState::Injecting:
      step_ = RunStep::kFault;
      break;
    case RunState::Recovering:
      step_ = RunStep::kRecovery;
      break;
    case RunState::Pending:
    case RunState::Completed:
    case RunState::Aborted:
    case RunState::Failed:
      return;  // nothing was timed yet
  }
  // At least what had passed when it was seen last. Where this clock is behind the one that wrote
  // that, a lease more: had more time passed, no agent would go on.
  const std::chrono::nanoseconds length = *length_of(phase.state);
  const UtcTime until = phase.until.set() ? phase.until.value : phase.at.value + length;
  const UtcTime at_most = now.utc >= last_seen ? now.utc : last_seen + times_.lease;
  std::chrono::nanoseconds left = until - at_most;
  // More than all of it: the clock was set back and nobody could write that down.
  if (left > length || left < std::chrono::nanoseconds(0)) left = std::chrono::nanoseconds(0);
  step_since_ = now.steady - (length - left);
  phase_since_ = step_since_;
  head_.history.back().until = {now.utc + left};
}

}  // namespace faultline::controller
