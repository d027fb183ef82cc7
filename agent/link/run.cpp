// SPDX-License-Identifier: Apache-2.0
#include "agent/link/run.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/link/limits.h"
#include "agent/link/words.h"
#include "api/gameday.h"
#include "base/log.h"

namespace faultline::agent {
namespace {

// The calls that the faults of the run name.
std::vector<std::string> syscalls_of(const api::DesiredRun& run) {
  std::vector<std::string> calls;
  for (const api::Fault& fault : run.experiment.spec.faults)
    if (const api::SyscallFilter* filter = api::syscall_filter(fault))
      calls.insert(calls.end(), filter->syscalls.begin(), filter->syscalls.end());
  return calls;
}

// Whether an expectation or a condition to abort rests on what goes on in TLS.
bool asks_for_tls(const api::DesiredRun& run) {
  const auto is_of_tls = [](std::string_view metric) { return metric.starts_with("tls."); };
  const api::ExperimentSpec& spec = run.experiment.spec;
  return std::ranges::any_of(spec.expect.effects, is_of_tls, &api::ExpectEffect::metric) ||
         std::ranges::any_of(spec.expect.signals, is_of_tls, &api::ExpectSignal::equals) ||
         std::ranges::any_of(spec.abortWhen, is_of_tls, &api::AbortCondition::effect);
}

}  // namespace

bool same_attachments(const Pod& a, const Pod& b) {
  return a.same_place(b) &&
         std::equal(a.interfaces.begin(), a.interfaces.end(), b.interfaces.begin(),
                    b.interfaces.end(), [](const PodInterface& x, const PodInterface& y) {
                      return x.pod_index == y.pod_index && x.host_index == y.host_index;
                    });
}

AgentCounts& AgentCounts::operator+=(const AgentCounts& more) {
  leases_expired += more.leases_expired;
  gaps += more.gaps;
  blocked += more.blocked;
  pod_restarts += more.pod_restarts;
  residue += more.residue;
  helper_errors += more.helper_errors;
  lost += more.lost;
  return *this;
}

Run::Run(const RunDeps& deps, api::DesiredRun desired, UtcTime unseen_since)
    : deps_(deps),
      desired_(std::move(desired)),
      quiet_(desired_.experiment.metadata.annotations.contains(std::string(api::kQuietNote))),
      counts_(quiet_ ? held_back_ : deps_.counts),
      phase_(desired_.phase) {
  const Unlogged hush(quiet_);
  const SteadyTime now = deps_.clock.steady();
  last_answer_ = next_cut_ = now + kWindow;
  slept_ = deps_.slept();
  // Without a baseline every run begins with its faults.
  if (phase_ == api::RunPhase::fault &&
      desired_.experiment.spec.phases.baseline.value > std::chrono::nanoseconds(0)) {
    idle_since_ = unseen_since;
    idle_reason_ = "the agent did not have the run: it was started, or reached, only now";
  }
  peers_given_ = !desired_.peers.empty();
  deps_.ledger.begin(desired_.run);
  refusal_ = run_refusal(desired_);
  adopt_pods();
}

Run::~Run() {
  const Unlogged hush(quiet_);
  leaving_.clear();
  places_.clear();
  ending_.clear();
}

void Run::desire(api::DesiredRun desired) {
  if (closing_) return;
  const Unlogged hush(quiet_);
  desired_ = std::move(desired);
  peers_given_ = peers_given_ || !desired_.peers.empty();
  if (desired_.phase != phase_) {
    if (desired_.phase != api::RunPhase::fault) {
      // Where faults acted their windows were cut when they ended, and the next phase begins there.
      const bool acted = armed() > 0;
      end_all();
      if (!acted) cut_all();
      before_.reset();
    } else {
      before_ = phase_;  // until begin_faults()
    }
    for (const auto& [id, place] : places_) flush_gaps(id);
    phase_ = desired_.phase;
    armed_told_ = disarmed_told_ = false;
    next_cut_ = deps_.clock.steady() + kWindow;
  }
  refusal_ = run_refusal(desired_);
  adopt_pods();
}

// Makes places_ hold the pods that are wanted, and no others.
void Run::adopt_pods() {
  std::map<std::string, const api::RunPod*> wanted;
  for (const api::RunPod& pod : desired_.pods) {
    const api::RunPod*& entry = wanted[pod.pod.id()];
    if (entry == nullptr || pod.role == api::PodRole::target) entry = &pod;
  }
  for (auto it = places_.begin(); it != places_.end();) {
    const auto want = wanted.find(it->first);
    if (want != wanted.end() && want->second->role == it->second.pod.role) {
      ++it;
      continue;
    }
    end_place(it->second, "the pod is no target any more");
    for (const auto& injection : it->second.injections)
      out_.injections.push_back(injection->status());
    stop_measuring(it->second);
    if (has_ended(it->second)) leaving_.push_back(std::move(it->second));
    it = places_.erase(it);
  }
  for (const auto& [id, pod] : wanted) {
    auto [it, added] = places_.try_emplace(id);
    if (!added) continue;
    it->second.pod = *pod;
    measuring_told_ = armed_told_ = false;
    if (pod->role != api::PodRole::target) continue;
    const auto& faults = desired_.experiment.spec.faults;
    for (std::size_t i = 0; i < faults.size(); ++i)
      it->second.injections.push_back(
          std::make_unique<Injection>(pod->pod, i, std::string(faults[i].name()), deps_.clock));
  }
}

void Run::reconcile(const PodMap& pods) {
  if (closing_ || suspended_) return;
  const Unlogged hush(quiet_);
  for (auto& [id, place] : places_) settle(place, pods);
  work(pods);
}

void Run::go_on(const PodMap& pods) {
  const Unlogged hush(quiet_);
  if (busy() && !closing_ && !suspended_) work(pods);
}

void Run::work(const PodMap& pods) {
  const Step step(deps_.clock);
  arming_ = measuring_ = false;
  working_ = true;
  if (phase_ != api::RunPhase::fault) end_all();
  take_down_some(step);
  if (!taking_down_) begin_some(pods, step);
  working_ = false;
  if (!busy() || deps_.others(id())) claim();
}

// Nothing is left that is to be taken down.
void Run::begin_some(const PodMap& pods, const Step& step) {
  if (!fault_is_due()) measure_some(step);
  if (phase_ == api::RunPhase::fault) {
    arm_some(pods, step);
    if (before_ && !arming_) begin_faults();  // no fault is to act here, or none can yet
    if (!arming_) measure_some(step);
    return;
  }
  wants_answer_ = false;
  close_idle_gap();
  if (phase_ != api::RunPhase::recovery || disarmed_told_) return;
  event(api::RunEventKind::disarmed, "", "no fault is armed");
  disarmed_told_ = true;
}

bool Run::fault_is_due() const {
  return phase_ == api::RunPhase::fault && !faults_over_ &&
         !desired_.experiment.spec.faults.empty();
}

bool Run::may_arm() const {
  return phase_ == api::RunPhase::fault && !faults_over_ && lease_.valid(deps_.clock.steady());
}

void Run::measure_some(const Step& step) {
  bool some = !ending_.empty();
  measuring_ = false;
  // Before others begin, so that no pod is measured twice by this run.
  end_some(step);
  if (!ending_.empty()) return;
  for (auto& [id, place] : places_) {
    if (!place.here || place.measurement) continue;
    measuring_ = some && step.over();
    if (measuring_) return;
    measure(place);
    some = true;
  }
  if (measuring_told_) return;
  std::size_t here = 0;
  for (const auto& [id, place] : places_) here += place.measurement ? 1 : 0;
  event(api::RunEventKind::measuring, "",
        counted(here, "pod") +
            (here == places_.size() ? "" : " of " + std::to_string(places_.size())));
  measuring_told_ = true;
}

void Run::claim() {
  if (std::exchange(unclaimed_, false)) deps_.ledger.claim(id());
}

// Follows the pod to where it is now.
void Run::settle(Place& place, const PodMap& pods) {
  const std::string pod = place.pod.pod.id();
  const auto it = pods.find(pod);
  if (it == pods.end()) {
    if (place.here) {
      end_place(place, "the pod went away");
      stop_measuring(place);
      place.here.reset();
      event(api::RunEventKind::pod_gone, pod, "the pod is no longer on this node");
    } else if (!place.known) {
      place.known = true;
      event(api::RunEventKind::pod_gone, pod, "the pod is not on this node");
    }
    if (!place.unseen) place.unseen = deps_.clock.utc();
    return;
  }
  if (place.here && !same_attachments(*place.here, it->second)) {
    disarm_place(place, "the pod restarted");
    stop_measuring(place);
    place.here.reset();
  }
  const bool moved = !place.here && place.known;
  const bool other_containers = place.here && named_containers(*place.here, container_names()) !=
                                                  named_containers(it->second, container_names());
  place.here = it->second;  // labels and addresses may have changed
  place.known = true;
  if (!place.measurement && !place.unseen && fault_is_due()) {
    place.unseen = deps_.clock.utc();
    place.fault_first = true;
  }
  if (other_containers) follow_containers(place, pods);
  if (!moved) return;
  for (const auto& injection : place.injections) injection->unblock();
  std::string text = "the pod is here anew and is measured again";
  if (may_arm() && arm_place(place, pods)) text += ", its faults are armed again";
  event(api::RunEventKind::pod_restarted, pod, std::move(text));
  ++counts_.pod_restarts;
}

TlsProbes Run::tls_probes() const {
  if (!asks_for_tls(desired_)) return TlsProbes::kNotAskedFor;
  return deps_.may_probe_tls ? TlsProbes::kAllowed : TlsProbes::kForbidden;
}

void Run::measure(Place& place) {
  place.measurement = std::make_unique<Measurement>(
      *place.here, deps_.collectors,
      CollectContext{deps_.clock, deps_.features, syscalls_of(desired_), tls_probes()});
  unclaimed_ = true;
  if (armed() > 0 && !before_) place.measurement->cut_at(lease_.kernel_deadline());
  if (!place.unseen) return;
  api::Gap gap;
  gap.pod = place.pod.pod.id();
  gap.from = {*std::exchange(place.unseen, std::nullopt)};
  gap.to = {utc_of(place.measurement->since())};
  gap.reason = std::exchange(place.fault_first, false)
                   ? "the faults came first, no baseline was asked for: measuring began after them"
                   : "the pod was not measured: it was away, restarting, or the controller was "
                     "silent";
  add_gap(std::move(gap));
}

void Run::stop_measuring(Place& place) {
  if (!place.measurement) return;
  claim();
  // What belongs to no phase is a part of the gap that begins here.
  if (phase_of(place)) cut(place);
  flush_gaps(place.pod.pod.id());
  place.unseen = utc_of(place.measurement->since());
  ending_.push_back(std::move(place.measurement));
}

// Each waits for grace periods of the kernel, 10 to 40 ms, with probes of TLS 100 and more.
void Run::end_some(const Step& step) {
  while (!ending_.empty()) {
    ending_.pop_back();
    if (step.over()) return;
  }
}

void Run::tick() {
  const Unlogged hush(quiet_);
  const SteadyTime now = deps_.clock.steady();
  if (closing_) {
    if (!over_) go_on_closing();
    return;
  }
  check_lease();
  block_the_alone();
  if (!suspended_ && armed() == 0 && now - last_answer_ - all_away_ >= kSuspendAfter) suspend();
  if (suspended_) let_go_some();
  if (now < next_cut_) return;
  next_cut_ = std::max(next_cut_ + kWindow, now + kWindow / 2);
  cut_all();
  tell_connected();
}

// Nobody asks for these measurements any more, or nobody can. An answer brings them back.
void Run::suspend() {
  spdlog::warn("{}: no answer for {} s, measuring stops until there is one", id(),
               std::chrono::duration_cast<std::chrono::seconds>(kSuspendAfter).count());
  suspended_ = true;
  for (auto& [id, place] : places_) stop_measuring(place);
}

void Run::close(bool tell) {
  if (closing_) return;
  const Unlogged hush(quiet_);
  const bool was_armed = armed() > 0;
  end_all(tell ? "" : "the agent was ended");
  disarmed_due_ = taking_down_;
  faults_over_ = faults_over_ || was_armed;
  for (auto& [id, place] : places_) {
    if (!place.measurement && place.unseen && !suspended_) {
      api::Gap gap;
      gap.pod = id;
      gap.from = {*place.unseen};
      gap.to = {deps_.clock.utc()};
      gap.reason = "the pod was not on this node";
      add_gap(std::move(gap));
    }
    stop_measuring(place);
    flush_gaps(id);
  }
  close_idle_gap();
  closing_ = true;
  tell_ = tell;
  closing_since_ = deps_.clock.steady();
  if (tell) return;
  while (taking_down_ || !ending_.empty()) let_go_some();
  check_residue();
}

void Run::go_on_closing() {
  if (taking_down_ || !ending_.empty()) {
    let_go_some();
    if (taking_down_ || !ending_.empty()) return;
    closing_since_ = deps_.clock.steady();
  }
  check_residue();
}

void Run::let_go_some() {
  const Step step(deps_.clock);
  take_down_some(step);
  if (taking_down_) return;
  if (std::exchange(disarmed_due_, false))
    event(api::RunEventKind::disarmed, "", tell_ ? "the run was taken down" : "the agent ends");
  if (!step.over()) end_some(step);
}

// The kernel frees some objects a grace period after the last descriptor is closed.
void Run::check_residue() {
  auto left = deps_.ledger.left_of(id());
  if (!left.empty() && deps_.clock.steady() - closing_since_ < kResidueTime) return;
  over_ = true;
  counts_.residue += left.size();
  if (quiet_ && !left.empty()) {
    // Whoever cares for the node has to know; which ones, the controller does.
    const Unlogged aloud(false);
    spdlog::error("{} of a run that is over still in the kernel", counted(left.size(), "object"));
  }
  for (const std::string& what : left) spdlog::error("{}: still in the kernel: {}", id(), what);
  deps_.ledger.forget(id());
  const FaultCounters total = totals();
  counts_.helper_errors += total.errors;
  counts_.lost += total.lost;
  if (quiet_) deps_.counts += held_back_;
  if (!tell_) return;
  event(api::RunEventKind::closed, "",
        left.empty() ? "nothing of it is left" : counted(left.size(), "object") + " left");
  out_.events.back().residue = std::move(left);
}

}  // namespace faultline::agent
