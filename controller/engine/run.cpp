// SPDX-License-Identifier: Apache-2.0
// What a run is told. What it does next is in run_steps.cpp, what it tells about itself in
// run_view.cpp.
#include "controller/engine/run.h"

#include <algorithm>
#include <cmath>

#include "api/gap_words.h"
#include "controller/engine/words.h"

namespace faultline::controller {
namespace {

using api::RunState;

constexpr std::chrono::milliseconds kClockStep{500};
constexpr std::size_t kMostGaps = 2000;  // whatever agents do

std::string during_words(RunStep step) {
  switch (step) {
    case RunStep::kMeasuring:
      return "before the baseline";
    case RunStep::kBaseline:
      return "during the baseline";
    case RunStep::kArming:
      return "while the faults were being armed";
    case RunStep::kFault:
      return "during the fault";
    case RunStep::kDisarming:
      return "while the faults were being taken down";
    case RunStep::kRecovery:
      return "during the recovery";
    case RunStep::kClosing:
    case RunStep::kOver:
      break;
  }
  return "while the run was being closed";
}

std::string other_run_words(bool control, const std::string& run) {
  const std::string who = run.empty() ? "another run" : "run " + run;
  return control ? who + " hits this pod: it is no control pod any more"
                 : who + " hits this pod: what is seen of it is of that run as well";
}

}  // namespace

Run::Run(api::RunRecord head, RunTimes times, Instant now)
    : head_(std::move(head)),
      times_(times),
      step_since_(now.steady),
      phase_since_(now.steady),
      recovery_length_(head_.experiment.spec.phases.recovery.value),
      utc_ahead_(now.utc.time_since_epoch() - now.steady.time_since_epoch()) {
  for (const api::NodeRecord& node : head_.nodes)
    members_[node.node] = {.last_contact = now.steady,
                           .last_contact_utc = now.utc,
                           .measuring_by = now.steady + times_.answer};
  if (head_.history.empty()) mark(RunState::Pending, "", now);
  // Nobody waits for a baseline that was not asked for: the faults come first, as fast as they can.
  if (head_.experiment.spec.phases.baseline.value <= std::chrono::nanoseconds(0))
    enter(RunStep::kArming, now);
}

// ---- inputs

void Run::tick(Instant now) {
  if (over()) return;
  follow_clock(now);
  if (step_ != RunStep::kMeasuring && !patient_)
    for (auto& [node, member] : members_)
      if (!member.lost && !member.closed && now.steady - member.last_contact > times_.lease)
        lose(node, member,
             node + " was lost " + during_words(step_) +
                 (member.told_to_end ? ": its agent was told to end, and no other came for "
                                     : ": no exchange with its agent for ") +
                 span_words(times_.lease) +
                 (in(RunStep::kArming, RunStep::kDisarming)
                      ? "; the lease has ended the injection there"
                      : ""),
             now, EndedBy::kLease);
  advance(now);
}

// The wall clock was set: phases end when they would have ended, and the record says when that is.
void Run::follow_clock(Instant now) {
  const auto ahead = now.utc.time_since_epoch() - now.steady.time_since_epoch();
  if (ahead - utc_ahead_ < kClockStep && utc_ahead_ - ahead < kClockStep) return;
  const auto by = ahead - utc_ahead_;
  utc_ahead_ = ahead;
  // What is over stays when it was.
  if (!head_.history.back().until.set() || step_ == RunStep::kClosing) return;
  head_.history.back().until.value += by;
  ++head_version_;
}

void Run::contact(const std::string& node, const std::string& instance, Instant now) {
  const auto found = members_.find(node);
  if (found == members_.end() || over()) return;
  Member& member = found->second;
  if (member.instance.empty()) bind(node, member, instance);
  if (member.instance != instance) rebind(node, member, instance, now);
  if (member.instance != instance) return;
  member.last_contact = now.steady;
  member.last_contact_utc = now.utc;
  if (member.lost) close_gap(member, now.utc);
}

std::vector<FaultDelta> Run::batch(const std::string& node, const std::string& instance,
                                   const api::RunBatch& batch, Instant now) {
  const auto found = members_.find(node);
  if (found == members_.end() || found->second.instance != instance || over()) return {};
  std::vector<FaultDelta> deltas;
  for (const api::InjectionStatus& injection : batch.injections) {
    api::InjectionStatus& known = injections_[{injection.pod.id(), injection.index}];
    // Named as the experiment does, so that an agent cannot make up label values.
    const auto index = static_cast<std::size_t>(injection.index);
    if (injection.index >= 0 && index < head_.experiment.spec.faults.size())
      deltas.push_back({std::string(head_.experiment.spec.faults[index].name()),
                        injection.matched - std::min(known.matched, injection.matched),
                        injection.injected - std::min(known.injected, injection.injected)});
    known = injection;
  }
  for (const api::EffectWindow& window : batch.windows) {
    newest_[window.pod.id()] = window;
    if (window.phase != api::RunPhase::fault) continue;
    std::vector<api::EffectWindow>& recent = fault_windows_[node];
    recent.push_back(window);
    std::erase_if(recent, [&](const api::EffectWindow& w) {
      return w.to.value <= window.to.value - kRecent;
    });
  }
  if (in(RunStep::kArming, RunStep::kFault)) {
    std::vector<api::Gap>& recent = fault_gaps_[node];
    recent.insert(recent.end(), batch.gaps.begin(), batch.gaps.end());
    for (api::Gap& gap : recent)
      if (gap.node.empty()) gap.node = node;
    std::erase_if(recent, [&](const api::Gap& gap) {
      return gap.to.set() && gap.to.value <= now.utc - kRecent;
    });
    if (recent.size() > kMostGaps) recent.resize(kMostGaps);
  }
  for (const api::RunEvent& e : batch.events) event(node, found->second, e, now);
  advance(now);
  if (step_ == RunStep::kFault)  // a status may come after its `armed`
    if (auto why = all_blocked()) end_early(RunState::Failed, *why, Recovery::kNone, now);
  advance(now);
  return deltas;
}

void Run::stop(std::string reason, Recovery recovery, Instant now) {
  if (in(RunStep::kClosing, RunStep::kOver)) return;
  // Who stops twice is in a hurry.
  end_early(RunState::Aborted, std::move(reason), ending_ ? Recovery::kNone : recovery, now,
            EndedBy::kCaller);
  advance(now);
}

void Run::fail(std::string reason, Recovery recovery, Instant now) {
  if (in(RunStep::kClosing, RunStep::kOver)) return;
  end_early(RunState::Failed, std::move(reason), recovery, now, EndedBy::kCaller);
  advance(now);
}

std::optional<std::chrono::nanoseconds> Run::length_of(RunState state) const {
  const api::Phases& phases = head_.experiment.spec.phases;
  if (state == RunState::Baseline) return phases.baseline.value;
  if (state == RunState::Injecting) return phases.fault.value;
  if (state == RunState::Recovering) return recovery_length_;
  return std::nullopt;
}

void Run::others_hit(const std::map<std::string, std::string>& runs, Instant now) {
  if (over()) return;
  std::vector<std::string> gone;
  for (const api::RunPod& pod : head_.pods) {
    if (pod.role == api::PodRole::target || pod.leftAt.set()) continue;
    const std::string id = pod.pod.id();
    const auto hit = runs.find(id);
    const auto open = hit_by_others_.find(id);
    if (hit == runs.end()) {
      if (open == hit_by_others_.end()) continue;
      head_.gaps[open->second].to = {std::max(now.utc, head_.gaps[open->second].from.value)};
      hit_by_others_.erase(open);
      ++head_version_;
      continue;
    }
    if (open != hit_by_others_.end()) continue;
    const bool control = pod.role == api::PodRole::control;
    if (control)
      gone.push_back(id);
    else
      hit_by_others_[id] = head_.gaps.size();
    head_.gaps.push_back(
        {pod.pod.node, id, "", {now.utc}, {}, other_run_words(control, hit->second)});
    ++head_version_;
  }
  for (const std::string& pod : gone) leave(pod, now);
}

void Run::remark(api::Gap gap) {
  if (over() || head_.gaps.size() >= kMostGaps) return;
  const std::string words = gap.reason.substr(0, gap.reason.find(':'));
  if (std::ranges::any_of(head_.gaps, [&](const api::Gap& known) {
        return known.metric == gap.metric && known.reason.starts_with(words);
      }))
    return;
  head_.gaps.push_back(std::move(gap));
  ++head_version_;
}

void Run::follow_monitoring(api::MonitoringRecord known) {
  head_.monitoring = std::move(known);
  awaits_monitoring_ = true;
  ++head_version_;
}

void Run::followed(api::MonitoringRecord seen, Instant now) {
  if (over() || !awaits_monitoring_) return;
  head_.monitoring = std::move(seen);
  awaits_monitoring_ = false;
  ++head_version_;
  advance(now);
}

void Run::lose_monitoring(const std::string& successor, UtcTime since, Instant now) {
  if (!head_.monitoring) return;
  const std::string why = successor + std::string(api::kUnfollowed);
  for (api::MonitoringSource& source : head_.monitoring->sources) {
    source.problem = why;
    head_.monitoring->gaps.push_back(
        {source.name, {std::min(since, now.utc)}, {std::max(since, now.utc)}, why});
  }
  remark({.from = {std::min(since, now.utc)}, .to = {std::max(since, now.utc)}, .reason = why});
}

void Run::refused(const std::string& node, const Refused& refused, Instant now) {
  const auto found = members_.find(node);
  if (found == members_.end() || over() || refused.entries == 0) return;
  Member& member = found->second;
  member.refused += refused.entries;
  // Each doubling is told, so that nobody makes us write without end.
  if (member.refused < 2 * member.refused_told) return;
  if (member.refused_told == 0) {
    member.refused_gap = head_.gaps.size();
    head_.gaps.push_back({node, "", "", {now.utc}, {}, ""});
  }
  member.refused_told = member.refused;
  api::Gap& gap = head_.gaps[member.refused_gap];
  gap.to = {std::max(now.utc, gap.from.value)};
  gap.reason = "at least " + std::to_string(member.refused) +
               (member.refused == 1 ? " entry" : " entries") +
               " that the agent sent could not be taken: " + refused.why;
  ++head_version_;
}

void Run::peers(std::vector<api::PeerAddresses> now) {
  const auto same = [](const api::PeerAddresses& a, const api::PeerAddresses& b) {
    return a.index == b.index && a.except == b.except && a.addresses == b.addresses;
  };
  if (over() || std::ranges::equal(peers_, now, same)) return;
  peers_ = std::move(now);
  ++desired_version_;
}

void Run::leave(const std::string& pod, Instant now) {
  for (api::RunPod& known : head_.pods)
    if (known.pod.id() == pod && !known.leftAt.set()) known.leftAt = {now.utc};
  ++desired_version_;
  ++head_version_;
}

void Run::join(const api::PodRef& pod, const api::NodeInfo& info, std::int64_t matching,
               Instant now) {
  head_.pods.push_back({pod, api::PodRole::target, {now.utc}, {}});
  head_.pods.back().pod.addresses.clear();  // as run_pods()
  head_.matching = matching;
  if (!members_.contains(pod.node)) {
    head_.nodes.push_back({.node = pod.node, .info = info});
    members_[pod.node] = {.last_contact = now.steady,
                          .last_contact_utc = now.utc,
                          .measuring_by = now.steady + times_.answer};
  }
  ++desired_version_;
  ++head_version_;
}

double Run::clock_offset(const std::string& node, const ClockOffset& known, Instant now) {
  const auto record = std::ranges::find(head_.nodes, node, &api::NodeRecord::node);
  const auto member = members_.find(node);
  if (record == head_.nodes.end() || member == members_.end() || over()) return known.applied();
  const ClockOffset used{record->clockOffset, record->clockUncertainty};
  if (!member->second.clock_known || !used.agrees(known)) {
    if (member->second.clock_known && head_.gaps.size() < kMostGaps)
      head_.gaps.push_back({node,
                            "",
                            "",
                            {member->second.last_contact_utc},
                            {now.utc},
                            "the clock of the node was set by " +
                                span_words(std::chrono::nanoseconds(
                                    std::llround(std::abs(known.offset - used.offset) * 1e9))) +
                                "; times around this moment may be wrong by that"});
    member->second.clock_known = true;
    record->clockOffset = known.applied();
    record->clockUncertainty = known.uncertainty;
    ++head_version_;
  }
  return record->clockOffset;
}

// ---- the agents of its nodes

void Run::rebind(const std::string& node, Member& member, const std::string& instance,
                 Instant now) {
  if (step_ <= RunStep::kBaseline) {
    open_gap(node, member, "the agent was started anew; nothing was measured meanwhile");
    bind(node, member, instance);
    member.measuring = false;
    member.measuring_by = now.steady + times_.answer;
  } else if (!member.lost && !member.closed) {
    lose(node, member,
         "the agent on " + node + " was started anew " + during_words(step_) +
             (in(RunStep::kArming, RunStep::kDisarming)
                  ? "; what the old one had armed ended with it"
                  : ""),
         now, EndedBy::kAgents);
    advance(now);
  }
}

// The record says who took part, for a controller that goes on with the run.
void Run::bind(const std::string& node, Member& member, const std::string& instance) {
  member.instance = instance;
  if (const auto known = std::ranges::find(head_.nodes, node, &api::NodeRecord::node);
      known != head_.nodes.end())
    known->instance = instance;
  ++head_version_;
}

void Run::lose(const std::string& node, Member& member, std::string reason, Instant now,
               EndedBy by) {
  member.lost = true;
  if (const auto known = std::ranges::find(head_.nodes, node, &api::NodeRecord::node);
      known != head_.nodes.end())
    known->lost = true;
  open_gap(node, member,
           "no exchange with the agent; of this time the record has only what it could send "
           "later");
  end_early(RunState::Failed, std::move(reason), Recovery::kShort, now, by);
}

void Run::event(const std::string& node, Member& member, const api::RunEvent& event, Instant now) {
  switch (event.kind) {
    case api::RunEventKind::measuring:
      member.measuring = true;
      close_gap(member, event.at.set() ? event.at.value : now.utc);
      return;
    case api::RunEventKind::armed:
      member.armed = true;
      return;
    case api::RunEventKind::disarmed:
      // Nobody wanted it yet: these are the last words of an agent that ends.
      member.told_to_end = in(RunStep::kArming, RunStep::kFault);
      member.disarmed = true;
      return;
    case api::RunEventKind::closed:
      member.closed = member.disarmed = true;
      if (step_ < RunStep::kClosing)
        end_early(RunState::Failed,
                  "the agent on " + node + " ended the run " + during_words(step_) +
                      (event.text.empty() ? "" : ": " + event.text),
                  Recovery::kShort, now);
      return;
    case api::RunEventKind::lease_expired:
      if (in(RunStep::kArming, RunStep::kFault))
        end_early(RunState::Failed,
                  "the lease expired on " + node + " " + during_words(step_) +
                      ": its agent took no answer for " + span_words(times_.lease) +
                      " and the kernel ended the injection",
                  Recovery::kShort, now, EndedBy::kLease);
      return;
    case api::RunEventKind::pod_restarted:
    case api::RunEventKind::pod_gone:
    case api::RunEventKind::blocked:
    case api::RunEventKind::connected:
      return;  // for the report
  }
}

void Run::open_gap(const std::string& node, Member& member, std::string reason) {
  if (member.gap || head_.gaps.size() >= kMostGaps) return;
  member.gap = head_.gaps.size();
  head_.gaps.push_back({node, "", "", {member.last_contact_utc}, {}, std::move(reason)});
  ++head_version_;
}

void Run::close_gap(Member& member, UtcTime at) {
  if (!member.gap) return;
  head_.gaps[*member.gap].to = {std::max(at, head_.gaps[*member.gap].from.value)};
  member.gap.reset();
  ++head_version_;
}

}  // namespace faultline::controller
