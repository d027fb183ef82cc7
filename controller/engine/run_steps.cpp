// SPDX-License-Identifier: Apache-2.0
// From one step of a run to the next.
#include <algorithm>

#include "controller/engine/run.h"
#include "controller/engine/words.h"

namespace faultline::controller {

using api::RunState;

namespace {

// What was seen of a monitoring that was not asked to the end proves nothing of what it did not
// see.
void end_unasked(api::MonitoringRecord& record, UtcTime from, UtcTime to, const std::string& why) {
  for (api::MonitoringSource& source : record.sources) {
    if (source.problem.empty()) source.problem = why;
    record.gaps.push_back({source.name, {from}, {to}, why});
  }
}

}  // namespace

void Run::advance(Instant now) {
  while (!over() && advance_once(now)) {
  }
}

bool Run::advance_once(Instant now) {
  const api::Phases& phases = head_.experiment.spec.phases;
  const bool late = now.steady >= step_since_ + times_.answer;
  const auto fail_missing = [&](bool Member::*flag, const std::string& what) {
    end_early(RunState::Failed,
              missing(flag) + " did not report `" + what + "` within " + span_words(times_.answer),
              Recovery::kShort, now);
    return true;
  };
  switch (step_) {
    case RunStep::kMeasuring:
    case RunStep::kBaseline:
      if (std::ranges::any_of(members_, [&](const auto& m) {
            return !m.second.measuring && now.steady >= m.second.measuring_by;
          }))
        return fail_missing(&Member::measuring, "measuring");
      if (!every(&Member::measuring)) return false;
      if (step_ == RunStep::kMeasuring) {
        mark(RunState::Baseline, "", now);
        enter(RunStep::kBaseline, now);
        return true;
      }
      if (now.steady < phase_end(phases.baseline.value)) return false;
      enter(RunStep::kArming, now);
      return true;
    case RunStep::kArming:
      if (every(&Member::armed)) {
        if (auto why = all_blocked()) {
          end_early(RunState::Failed, *why, Recovery::kNone, now);
          return true;
        }
        mark(RunState::Injecting, "", now);
        enter(RunStep::kFault, now);
        return true;
      }
      return late && fail_missing(&Member::armed, "armed");
    case RunStep::kFault:
      if (now.steady < phase_end(phases.fault.value)) return false;
      enter(RunStep::kDisarming, now);
      return true;
    case RunStep::kDisarming:
      if (every(&Member::disarmed)) {
        if (any_alive()) {
          mark(RunState::Recovering, "", now);
          enter(RunStep::kRecovery, now);
        } else {
          enter(RunStep::kClosing, now);
        }
        return true;
      }
      if (!late) return false;
      fail_missing(&Member::disarmed, "disarmed");
      enter(RunStep::kClosing, now);
      return true;
    case RunStep::kRecovery:
      if (now.steady < phase_end(recovery_length_)) return false;
      if (!ending_) ending_ = RunState::Completed;
      enter(RunStep::kClosing, now);
      return true;
    case RunStep::kClosing:
      if (!every(&Member::closed)) {
        if (!late) return false;
        fail_missing(&Member::closed, "closed");
      }
      if (awaits_monitoring_) {
        if (now.steady < step_since_ + times_.monitoring) return false;
        awaits_monitoring_ = false;
        if (head_.monitoring)
          end_unasked(
              *head_.monitoring, std::min(head_.history.front().at.value, now.utc), now.utc,
              "it had not answered " + span_words(times_.monitoring) + " after the end of the run");
        remark({.from = {now.utc},
                .to = {now.utc},
                .reason = "the monitoring had not answered " + span_words(times_.monitoring) +
                          " after the end of the run: what it saw is not known"});
      }
      finish(now);
      return true;
    case RunStep::kOver:
      break;
  }
  return false;
}

void Run::enter(RunStep step, Instant now) {
  // The last phase is over: up to here the monitoring is asked, and the report looks.
  if (step == RunStep::kClosing && step_ != RunStep::kClosing)
    head_.history.back().until = {now.utc};
  step_ = step;
  step_since_ = now.steady;
  ++desired_version_;
  ++head_version_;  // so that the ending is stored as well
}

void Run::mark(RunState state, std::string reason, Instant now) {
  head_.state = state;
  head_.history.push_back({state, {now.utc}, std::move(reason), {}});
  if (const auto length = length_of(state)) head_.history.back().until = {now.utc + *length};
  utc_ahead_ = now.utc.time_since_epoch() - now.steady.time_since_epoch();
  phase_since_ = now.steady;
  ++head_version_;
}

void Run::end_early(RunState ending, std::string reason, Recovery recovery, Instant now,
                    EndedBy by) {
  // The first reason is the cause, what follows are its effects. Only a run that was about to be
  // complete can still turn into a failed one.
  if (!ending_ || *ending_ == RunState::Completed) {
    ending_ = ending;
    ended_by_ = by;
    head_.stateReason = std::move(reason);
    ++head_version_;
  }
  if (in(RunStep::kClosing, RunStep::kOver)) return;
  recovery_length_ = std::min<std::chrono::nanoseconds>(recovery_length_, times_.early_recovery);
  if (recovery == Recovery::kNone || step_ < RunStep::kArming || !any_alive())
    enter(RunStep::kClosing, now);
  else if (step_ < RunStep::kDisarming)
    enter(RunStep::kDisarming, now);
}

void Run::finish(Instant now) {
  for (auto& [node, member] : members_) close_gap(member, now.utc);
  others_hit({}, now);
  mark(ending_.value_or(RunState::Completed), head_.stateReason, now);
  step_ = RunStep::kOver;
}

}  // namespace faultline::controller
