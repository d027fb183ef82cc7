// SPDX-License-Identifier: Apache-2.0
// What a run tells: windows, gaps, events, and the state of its faults.
#include <algorithm>
#include <utility>

#include "agent/link/run.h"
#include "api/gap.h"
#include "base/log.h"

namespace faultline::agent {
namespace {

// What the pod sent and received in this window, where that is more than `before`.
void note_traffic(std::optional<PodTraffic>& before, const Measurement::Window& window) {
  constexpr double kLeast = 0.2;  // seconds; a shorter window says little of a second
  const double seconds = std::chrono::duration<double>(window.to.value - window.from.value).count();
  if (seconds < kLeast) return;
  PodTraffic now;
  bool told = false;
  for (const api::EffectSample& sample : window.samples) {
    const auto direction = sample.labels.find("direction");
    if (direction == sample.labels.end()) continue;
    PodTraffic::Way& way = direction->second == "to" ? now.to : now.from;
    if (sample.metric == "net.packets") way.packets = sample.value / seconds;
    if (sample.metric == "net.bytes") way.bytes = sample.value / seconds;
    told = told || sample.metric == "net.bytes";
  }
  if (!told) return;
  if (!before) before.emplace();
  for (const auto way : {&PodTraffic::to, &PodTraffic::from})
    if (((*before).*way).bytes <= (now.*way).bytes) (*before).*way = now.*way;
}

}  // namespace

UtcTime Run::utc_of(SteadyTime t) const {
  return deps_.clock.utc() -
         std::chrono::duration_cast<std::chrono::nanoseconds>(deps_.clock.steady() - t);
}

void Run::event(api::RunEventKind kind, std::string pod, std::string text) {
  api::RunEvent e;
  e.kind = kind;
  e.at = {deps_.clock.utc()};
  e.pod = std::move(pod);
  e.text = std::move(text);
  out_.events.push_back(std::move(e));
}

void Run::add_gap(api::Gap gap) {
  if (gap.from >= gap.to) return;
  ++counts_.gaps;
  out_.gaps.push_back(std::move(gap));
}

// Since when the faults that are wanted were not there.
void Run::close_idle_gap() {
  if (!idle_since_) return;
  api::Gap gap;
  gap.from = {*std::exchange(idle_since_, std::nullopt)};
  gap.to = {deps_.clock.utc()};
  gap.reason = std::exchange(idle_reason_, {});
  add_gap(std::move(gap));
}

std::optional<api::RunPhase> Run::phase_of(const Place& place) const {
  if (before_) return before_;
  if (phase_ != api::RunPhase::fault) return phase_;
  const bool target = place.pod.role == api::PodRole::target;
  // At the end of the phase everywhere; where the lease ran out, others may still be under faults.
  if (faults_over_ && (target || lease_.ended(deps_.clock.steady()) || all_targets_here()))
    return api::RunPhase::recovery;
  const auto is = [&](Injection::State state) {
    return std::ranges::any_of(place.injections,
                               [&](const auto& injection) { return injection->state() == state; });
  };
  // Blocked faults do not come; others do.
  if (!target || is(Injection::State::kArmed)) return phase_;
  if (is(Injection::State::kEnded) || is(Injection::State::kDisarmed) ||
      is(Injection::State::kIdle))
    return std::nullopt;
  return phase_;
}

bool Run::all_targets_here() const {
  return std::ranges::count(desired_.pods, api::PodRole::target, &api::RunPod::role) >=
         desired_.targets;
}

void Run::cut(Place& place) { cut(place, phase_of(place)); }

void Run::cut(Place& place, std::optional<api::RunPhase> phase) {
  Measurement::Window window = place.measurement->cut();
  if (window.from >= window.to) return;
  const std::string pod = place.pod.pod.id();
  if (!phase) {
    window.samples.clear();
    api::Gap gap;
    gap.pod = pod;
    gap.from = window.from;
    gap.to = window.to;
    gap.reason = "the faults of the pod were not armed then: it counts to no phase";
    window.gaps.push_back(std::move(gap));
  }
  auto& open = open_gaps_[pod];
  // Of the open gaps, those that do not go on are over.
  std::vector<api::Gap> still;
  for (api::Gap& gap : open) {
    const auto next = std::find_if(window.gaps.begin(), window.gaps.end(), [&](const api::Gap& g) {
      return g.metric == gap.metric && g.reason == gap.reason;
    });
    if (next == window.gaps.end()) {
      add_gap(std::move(gap));
      continue;
    }
    api::go_on(gap, *next);
    window.gaps.erase(next);
    still.push_back(std::move(gap));
  }
  for (api::Gap& gap : window.gaps) still.push_back(std::move(gap));
  open = std::move(still);
  if (!phase) return;
  if (*phase == api::RunPhase::baseline) note_traffic(place.before, window);

  api::EffectWindow w;
  w.pod = place.pod.pod;
  w.role = place.pod.role;
  w.phase = *phase;
  w.from = window.from;
  w.to = window.to;
  w.samples = std::move(window.samples);
  out_.windows.push_back(std::move(w));
}

void Run::cut_all() {
  for (auto& [id, place] : places_)
    if (place.measurement) cut(place);
}

void Run::tell_connected() {
  const auto is_open = [](const auto& entry) {
    const Place& place = entry.second;
    return place.pod.role == api::PodRole::control && !place.connected && place.here;
  };
  if (std::ranges::none_of(places_, is_open)) return;
  std::map<std::string, PeerAddresses> peers;
  for (auto& [id, place] : places_)
    if (place.measurement) peers[id] = place.measurement->peers();
  const auto meets = [&](const std::string& id, const Place& other) {
    const auto known = peers.find(id);
    return known != peers.end() && other.here &&
           std::ranges::any_of(other.here->addresses, [&](const std::string& text) {
             const auto address = api::Cidr::parse(text);
             return address && known->second.contains(std::to_array(address->address));
           });
  };
  for (auto& [id, place] : places_) {
    if (!is_open(std::pair<const std::string&, const Place&>(id, place))) continue;
    for (const auto& [other_id, other] : places_) {
      if (other.pod.role == api::PodRole::control) continue;
      if (!meets(id, other) && !meets(other_id, place)) continue;
      place.connected = true;
      event(api::RunEventKind::connected, id, other_id);
      break;
    }
  }
}

void Run::flush_gaps(const std::string& pod) {
  const auto it = open_gaps_.find(pod);
  if (it == open_gaps_.end()) return;
  for (api::Gap& gap : it->second) add_gap(std::move(gap));
  open_gaps_.erase(it);
}

void Run::faults_changed(const std::string& pod) {
  const auto it = places_.find(pod);
  if (it == places_.end() || !it->second.measurement) return;
  it->second.measurement->faults_changed();
  unclaimed_ = true;
  if (!working_) claim();
}

std::optional<api::RunBatch> Run::drain() {
  const Unlogged hush(quiet_);
  for (auto& [id, place] : places_)
    for (const auto& injection : place.injections) {
      injection->refresh();
      if (injection->take_changed()) out_.injections.push_back(injection->status());
    }
  if (out_.injections.empty() && out_.windows.empty() && out_.gaps.empty() && out_.events.empty())
    return std::nullopt;
  out_.run = id();
  out_.phase = phase_;
  return std::exchange(out_, {});
}

}  // namespace faultline::agent
