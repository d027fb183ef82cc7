// SPDX-License-Identifier: Apache-2.0
// The faults of a run: arming, disarming.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/link/limits.h"
#include "agent/link/run.h"
#include "agent/link/words.h"
#include "base/log.h"

namespace faultline::agent {
namespace {

// Addresses of the pods of this node that the selector matches.
std::vector<std::string> addresses_of(const api::Selector& selector, const PodMap& pods) {
  std::vector<std::string> found;
  for (const auto& [id, pod] : pods)
    if (api::matches(selector, pod.ref))
      found.insert(found.end(), pod.addresses.begin(), pod.addresses.end());
  return found;
}

// Never the whole pod instead.
std::optional<std::string> container_refusal(const FaultType& type,
                                             const std::vector<Container>& containers) {
  if (!type.by_container)
    return "rule containerNames: this agent cannot hold it to containers of a pod";
  if (containers.empty()) return "rule containerNames: the pod has none of them";
  return std::nullopt;
}

std::string container_words(const std::vector<Container>& containers) {
  std::string names;
  for (const Container& container : containers)
    names += (names.empty() ? "" : ", ") + container.name;
  return (containers.size() == 1 ? "container " : "containers ") + names;
}

}  // namespace

void Run::arm_some(const PodMap& pods, const Step& step) {
  const SteadyTime now = deps_.clock.steady();
  faults_over_ = faults_over_ || lease_.ended(now);
  wants_answer_ = false;
  if (faults_over_) return;
  // An answer to a request that waited for long leaves too little: what is armed on its last moment
  // would end before the next answer.
  if (armed() > 0 ? !lease_.valid(now) : !lease_.fresh(now)) {
    wants_answer_ = true;
    return;
  }
  bool some = false;
  for (auto& [id, place] : places_) {
    arming_ = some && step.over();
    if (arming_) return;
    some |= arm_place(place, pods);
  }
  begin_faults();
  if (armed_told_) return;
  std::size_t all = 0;
  for (const auto& [id, place] : places_) all += place.injections.size();
  const std::size_t n = armed();
  std::string text = all == 0 ? "no faults on this node" : counted(n, "fault") + " armed";
  if (n < all) text += ", " + std::to_string(all - n) + " blocked";
  event(api::RunEventKind::armed, "", std::move(text));
  armed_told_ = true;
  close_idle_gap();
}

bool Run::arm_place(Place& place, const PodMap& pods) {
  bool some = false;
  for (const auto& injection : place.injections) some |= arm_one(place, *injection, pods);
  if (!some) return false;
  unclaimed_ = true;
  place.begins = true;
  // Before the faults act: a collector that must be in front of them, or behind, is there then.
  tell_faults_changed(place.pod.pod.id());
  return true;
}

// The faults first, then the cut: what is counted to the fault phase was under the fault.
void Run::begin_faults() {
  const std::optional<api::RunPhase> before = std::exchange(before_, std::nullopt);
  const KtimeNs deadline = lease_.kernel_deadline();
  for (auto& [id, place] : places_)
    if (place.begins)
      for (const auto& injection : place.injections) injection->begin(deadline);
  const KtimeNs now = deps_.clock.ktime();
  for (auto& [id, place] : places_)
    if (place.measurement && (before || place.begins)) place.measurement->cut_at(now);
  for (auto& [id, place] : places_) {
    if (place.measurement && (before || place.begins)) cut(place, before);
    place.begins = false;
  }
  renew_all();
}

// The pod stays where it is and is measured on; its faults go where its containers are now.
void Run::follow_containers(Place& place, const PodMap& pods) {
  if (place.injections.empty()) return;
  disarm_place(place, "its containers changed");
  const std::string pod = place.pod.pod.id();
  const std::vector<Container> now = named_containers(*place.here, container_names());
  if (now.empty()) {
    event(api::RunEventKind::pod_gone, pod, "the containers to be hit are not there");
    return;
  }
  for (const auto& injection : place.injections) injection->unblock();
  const bool armed = may_arm() && arm_place(place, pods);
  if (armed) begin_faults();
  event(api::RunEventKind::pod_restarted, pod,
        "its containers changed: " + container_words(now) + (now.size() == 1 ? " is" : " are") +
            " there" + (armed ? ", the faults are armed again" : ""));
}

// Which rule forbids the faults of this pod, or why they cannot be.
std::optional<std::string> Run::refusal_of(const Place& place) const {
  if (refusal_) return refusal_;
  if (!place.here) return "the pod is not on this node";
  if (auto reason = pod_refusal(desired_, *place.here, deps_.host_netns)) return reason;
  const std::string other = deps_.taken_by(place.pod.pod.id(), id());
  if (!other.empty()) return "rule one run a pod: it is a target of " + other;
  return std::nullopt;
}

// As the controller says, which sees all nodes. Where it says nothing: one that has just begun to
// lead does not know yet, and what the fault is armed with stays; an older one never says it, and
// only the pods of this node are known.
PeerSets Run::peers_of(const Injection& injection, const api::NetworkFilter& filter,
                       const PodMap& pods) const {
  const auto resolve = [&](const std::optional<api::Selector>& selector, bool except,
                           const std::vector<std::string>& armed) -> std::vector<std::string> {
    if (!selector) return {};
    for (const api::PeerAddresses& known : desired_.peers)
      if (known.index == static_cast<std::int64_t>(injection.index()) && known.except == except)
        return known.addresses;
    if (peers_given_ && injection.state() == Injection::State::kArmed) return armed;
    return addresses_of(*selector, pods);
  };
  return {.only = resolve(filter.peer, false, injection.peers().only),
          .except = resolve(filter.except ? filter.except->peer : std::nullopt, true,
                            injection.peers().except)};
}

bool Run::arm_one(Place& place, Injection& injection, const PodMap& pods) {
  const api::Fault& fault = desired_.experiment.spec.faults[injection.index()];
  const api::NetworkFilter* filter = api::network_filter(fault);
  const PeerSets peers = filter == nullptr ? PeerSets{} : peers_of(injection, *filter, pods);
  const bool nobody = filter != nullptr && filter->peer && peers.only.empty();
  const bool none_spared =
      filter != nullptr && filter->except && filter->except->peer && peers.except.empty();
  if (injection.blocked_for_peers() && !nobody && !none_spared) injection.unblock();
  if (injection.state() == Injection::State::kBlocked) return false;
  // It was armed, and will be when the pod comes back: not blocked.
  if (!place.here && injection.state() == Injection::State::kDisarmed) return false;
  if (injection.state() == Injection::State::kArmed) {
    // A peer that restarted may have another address; one that is gone may come back.
    if (auto followed = injection.follow(peers); !followed)
      end_one(place, injection, followed.error().message);
    return false;
  }
  if (auto reason = refusal_of(place)) {
    block(place, injection, std::move(*reason));
    return false;
  }
  const FaultType* type = deps_.find_fault(injection.fault());
  if (type == nullptr) {
    block(place, injection, "not supported by this agent");
    return false;
  }
  std::vector<Container> containers;
  if (!container_names().empty()) {
    containers = named_containers(*place.here, container_names());
    // It was armed, and will be when a container comes back: not blocked.
    if (containers.empty() && injection.state() == Injection::State::kDisarmed) return false;
    if (auto reason = container_refusal(*type, containers)) {
      block(place, injection, std::move(*reason));
      return false;
    }
  }
  if (nobody || none_spared) {
    const std::string key = nobody ? "peer" : "except.peer";
    block(place, injection,
          key + (peers_given_ ? ": no pod of the cluster with an address matches the selector"
                              : ": the selector matches no pod that this node sees"),
          true);
    return false;
  }
  const ArmContext context{
      deps_.clock,
      deps_.features,
      injection_seed(desired_.experiment.spec.seed, place.pod.pod.id(), injection.index()),
      lease_.kernel_deadline(),
      peers,
      place.before};
  if (auto armed = injection.arm(*type, fault, *place.here, context, containers); !armed) {
    block(place, injection, armed.error().message);
    return false;
  }
  return true;
}

// The end of one fault that acts, while the others of the pod go on: the window ends with it.
void Run::end_one(Place& place, Injection& injection, std::string reason, bool for_peers) {
  claim();
  halt(place);
  block(place, injection, std::move(reason), for_peers);
  place.begins = true;
  begin_faults();
  tell_faults_changed(place.pod.pod.id());
}

void Run::block_the_alone() {
  if (closing_) return;
  const SteadyTime now = deps_.clock.steady();
  for (auto& [id, place] : places_)
    for (const auto& injection : place.injections)
      if (const auto since = injection->alone_since(); since && now - *since >= kPeersAway)
        end_one(place, *injection,
                "peer: no pod with an address has matched the selector for " +
                    seconds_words(kPeersAway),
                true);
}

void Run::block(const Place& place, Injection& injection, std::string reason, bool for_peers) {
  if (!injection.block(std::move(reason), for_peers)) return;
  spdlog::warn("{}: {} on {} is blocked: {}", id(), injection.fault(), place.pod.pod.id(),
               injection.reason());
  event(api::RunEventKind::blocked, place.pod.pod.id(),
        injection.fault() + ": " + injection.reason());
  ++counts_.blocked;
}

// Every fault stops injecting, which costs nothing; to take one down may take tens of milliseconds.
//
// The kernel's own end, if that was before us: what happened after it was not under the fault. The
// cut first, then the end: what is in between counts to what comes after.
void Run::end_all(std::string why) {
  if (armed() == 0) return;
  const KtimeNs end = std::min(deps_.clock.ktime(), lease_.kernel_deadline());
  const bool acting = !before_;
  if (acting)
    for (auto& [id, place] : places_) end_window(place, end);
  for (auto& [id, place] : places_)
    for (const auto& injection : place.injections) injection->end(why);
  taking_down_ = true;
  if (acting)
    for (auto& [id, place] : places_)
      if (place.measurement && ktime_of(place.measurement->since()) < end)
        cut(place, api::RunPhase::fault);
  claim();
}

void Run::halt(Place& place, std::string why) {
  const bool acting = !before_ && !place.begins && targets(place.pod.pod.id());
  const KtimeNs end = std::min(deps_.clock.ktime(), lease_.kernel_deadline());
  if (acting) end_window(place, end);
  for (const auto& injection : place.injections) injection->halt(why);
  if (acting && place.measurement && ktime_of(place.measurement->since()) < end)
    cut(place, api::RunPhase::fault);
}

void Run::end_window(Place& place, KtimeNs at) {
  if (place.measurement && ktime_of(place.measurement->since()) < at) place.measurement->cut_at(at);
}

void Run::end_place(Place& place, std::string why) {
  if (!targets(place.pod.pod.id())) return;
  halt(place, why);
  for (const auto& injection : place.injections) injection->end(why);
  taking_down_ = true;
  claim();
}

void Run::disarm_place(Place& place, std::string why) {
  end_place(place, std::move(why));
  if (has_ended(place)) take_down(place);
}

bool Run::has_ended(const Place& place) {
  return std::ranges::any_of(place.injections, [](const auto& injection) {
    return injection->state() == Injection::State::kEnded;
  });
}

// Then those are told who measure the pod.
void Run::take_down(Place& place) {
  for (const auto& injection : place.injections)
    if (injection->state() == Injection::State::kEnded) injection->disarm();
  tell_faults_changed(place.pod.pod.id());
}

void Run::take_down_some(const Step& step) {
  if (!taking_down_) return;
  bool some = false;
  while (!leaving_.empty()) {
    if (some && step.over()) return;
    Place place = std::move(leaving_.back());
    leaving_.pop_back();
    take_down(place);
    for (const auto& injection : place.injections) out_.injections.push_back(injection->status());
    some = true;
  }
  for (auto& [id, place] : places_) {
    if (!has_ended(place)) continue;
    if (some && step.over()) return;
    take_down(place);
    some = true;
  }
  taking_down_ = false;
}

// Collectors, also those of other runs, may attach anew when they hear of it, and their runs claim
// that: what this run made until now must have its owner by then. To claim means to look at every
// descriptor of this process, so it is not done for nobody.
void Run::tell_faults_changed(const std::string& pod) {
  if (deps_.measured_by_others(pod, id())) claim();
  deps_.faults_changed(pod);
}

bool Run::measures(const std::string& pod) const {
  const auto it = places_.find(pod);
  return it != places_.end() && it->second.measurement;
}

std::size_t Run::armed() const {
  std::size_t n = 0;
  for (const auto& [id, place] : places_)
    for (const auto& injection : place.injections)
      n += injection->state() == Injection::State::kArmed ? 1 : 0;
  return n;
}

bool Run::targets(const std::string& pod) const {
  const auto it = places_.find(pod);
  return it != places_.end() &&
         std::any_of(it->second.injections.begin(), it->second.injections.end(),
                     [](const auto& i) { return i->state() == Injection::State::kArmed; });
}

FaultCounters Run::totals() const {
  FaultCounters total;
  for (const auto& [id, place] : places_)
    for (const auto& injection : place.injections) {
      const FaultCounters one = injection->totals();
      total.matched += one.matched;
      total.injected += one.injected;
      total.errors += one.errors;
      total.lost += one.lost;
    }
  return total;
}

}  // namespace faultline::agent
