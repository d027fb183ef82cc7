// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/edt/edt_line.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "agent/kernel/counters.h"
#include "agent/kernel/dice.h"
#include "agent/kernel/histogram_reader.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/passing.h"

namespace faultline::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

}  // namespace

Result<> EdtLine::fill(const api::NetworkFilter& filter, const NetFilter& made) {
  auto addresses = FilterMaps::fill(filter, made, object_.peers, object_.exceptions);
  if (!addresses) return fail(addresses.error());
  addresses_ = std::move(*addresses);
  return {};
}

Result<> EdtLine::attach(TcMeans means, api::Direction direction,
                         const std::vector<IfIndex>& devices, KtimeNs deadline) {
  arm_lease(*object_.lease, deadline);
  const auto keep = [this](Result<Link> link) -> Result<> {
    if (!link) return fail(link.error());
    link->move_up();
    links_.push_back(std::move(*link));
    return {};
  };
  // The way back before the way in.
  if (auto done = pair_.open(means, object_.turn, object_.back); !done) return done;
  for (const IfIndex device : devices) {
    if (direction != api::Direction::from)
      if (auto done = keep(attach_tc(means, object_.to, device, TcHook::kIngress)); !done)
        return done;
    if (direction != api::Direction::to)
      if (auto done = keep(attach_tc(means, object_.from, device, TcHook::kEgress)); !done)
        return done;
  }
  return {};
}

void EdtLine::renew(KtimeNs deadline) { renew_lease(*object_.lease, deadline); }

// The way in before the way back.
void EdtLine::detach() {
  while (!links_.empty()) links_.pop_back();
}

std::uint64_t EdtLine::State::missing() const {
  return taken.packets - std::min(taken.packets, returned + taken.dropped);
}

Result<EdtLine::State> EdtLine::state() const {
  // What came back before what was taken, so that the difference is never negative.
  const auto back = read_per_cpu<fl_line_counters>(object_.given);
  if (!back) return fail(back.error());
  const auto counted = read_counters(object_.counters);
  if (!counted) return fail(counted.error());
  const auto taken = taken_(*counted);
  if (!taken) return fail(taken.error());
  State state{.counters = counted_by(*counted), .taken = *taken};
  state.counters.last_injected = {};  // when the last one left, not when it was taken
  for (const fl_line_counters& cpu : *back) {
    state.returned += cpu.returned;
    state.taken.packets += cpu.followed;
    state.counters.stalled += cpu.stalled;
    state.counters.flushed += cpu.flushed;
    state.counters.last_injected.ns =
        std::max<std::uint64_t>(state.counters.last_injected.ns, cpu.last_ns);
  }
  return state;
}

Result<FaultCounters> EdtLine::read() const {
  auto state = this->state();
  if (!state) return fail(state.error());
  const auto added = HistogramGrowth().take(object_.added);
  if (!added) return fail(added.error());
  state->counters.added_latency = *added;
  state->counters.lost = lost_;
  state->counters.held = state->missing() - std::min(state->missing(), lost_);
  return std::move(state->counters);
}

Result<> EdtLine::disarm() {
  // Without one that comes back: what waits leaves at the pace it came (FL_EDT_FLUSH_US).
  constexpr auto kPatience = milliseconds(1200);
  disarm_lease(*object_.lease);
  auto state = this->state();
  std::uint64_t before = 0;
  auto patient_until = steady_clock::now() + kPatience;
  const auto end = steady_clock::now() + milliseconds(2500);
  while (state && state->missing() > 0) {
    const auto now = steady_clock::now();
    if (state->returned > before) patient_until = now + kPatience;
    if (now > std::min(end, patient_until)) break;
    before = state->returned;
    std::this_thread::sleep_for(std::chrono::microseconds(500));
    state = this->state();
  }
  detach();
  state = this->state();
  if (!state) return fail(state.error());
  lost_ = state->missing();
  if (lost_ > 0)
    return fail(Errc::kInternal, std::to_string(lost_) + " of " +
                                     std::to_string(state->taken.packets) +
                                     " packets did not come back from our pair of devices");
  return {};
}

fl_line_config edt_config(const EdtPair& pair, const std::vector<IfIndex>& devices) {
  fl_line_config config{};
  config.threshold = FL_CERTAIN;
  config.tap_ifindex = number(pair.near_end());
  config.owner = PassingTable::next_owner();
  std::transform(devices.begin(), devices.end(), config.ifindex,
                 [](IfIndex device) { return number(device); });
  return config;
}

}  // namespace faultline::agent
