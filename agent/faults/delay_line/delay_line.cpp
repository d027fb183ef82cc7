// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/delay_line.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "agent/faults/delay_line/delay_slots.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/dice.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/net_filter.h"
#include "agent/kernel/netlink.h"
#include "agent/kernel/passing.h"
#include "agent/kernel/skeleton.h"
#include "network_latency.skel.h"

namespace faultline::agent {
namespace {

// Packets the TAP's ring holds for the worker. The delay itself is spent in the worker's queue, so
// the ring only bridges the moments when the worker does not get the CPU: 16 ms at a million
// packets a second.
constexpr std::uint32_t kRing = 16384;

std::uint64_t random_cookie() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device() | 1;
}

}  // namespace

struct DelayLine::Programs {
  std::shared_ptr<const PassingTable> passing;
  Skeleton<network_latency_bpf> skeleton;
  FilterMaps addresses;
};

DelayLine::DelayLine(TapDevice tap) : tap_(std::move(tap)) {}

Result<std::unique_ptr<DelayLine>> DelayLine::open(DelayLineOrder order) {
  auto tap = TapDevice::create(kRing);
  if (!tap) return fail(tap.error());
  std::unique_ptr<DelayLine> line(new DelayLine(std::move(*tap)));
  if (order.packets == FL_PACKETS_CUT) {
    auto netlink = Netlink::open();
    if (!netlink) return fail(netlink.error());
    if (auto done = netlink->take_no_gso(IfIndex{line->tap_.index()}); !done)
      return fail(done.error());
  }
  if (auto done = line->load(order); !done) return fail(done.error());

  auto& programs = line->programs_->skeleton;
  arm_lease(programs->bss->fl_lease, order.deadline);
  programs->bss->fl_delay_alive_ns = SystemClock().ktime().ns;
  line->worker_ = std::make_unique<DelayWorker>(
      line->tap_, std::move(order.rule),
      DelayWorker::Options{.cookie = programs->rodata->fl_config.cookie,
                           .slots = &line->slots_,
                           .lease = &programs->bss->fl_lease,
                           .alive_ns = &programs->bss->fl_delay_alive_ns,
                           .most_bytes = order.most_bytes});
  if (auto done = line->worker_->start(); !done) return fail(done.error());
  if (auto done = line->attach(order); !done) return fail(done.error());
  return line;
}

Result<> DelayLine::load(const DelayLineOrder& order) {
  const auto filter = make_filter(order.filter, order.peers);
  if (!filter) return fail(filter.error());
  auto skeleton = Skeleton<network_latency_bpf>::open("network_latency");
  if (!skeleton) return fail(skeleton.error());
  load_only(order.filter.direction, (*skeleton)->progs.fl_delay_to,
            (*skeleton)->progs.fl_delay_from);
  (*skeleton)->rodata->fl_seed = order.seed;
  auto& config = (*skeleton)->rodata->fl_config;
  config.cookie = random_cookie();
  config.threshold = fl_threshold(order.share.value);
  config.packets = order.packets;
  config.tap_ifindex = tap_.index();
  config.owner = PassingTable::next_owner();
  std::transform(order.devices.begin(), order.devices.end(), config.ifindex,
                 [](IfIndex device) { return number(device); });
  (*skeleton)->rodata->fl_filter = filter->rules;
  auto passing = PassingTable::of_process();
  if (!passing) return fail(passing.error());
  if (auto done = (*passing)->enter(**skeleton); !done) return done;
  const std::uint32_t slots = delay_slots(order.usual);
  if (auto done = set_delay_slots(**skeleton, slots, order.longest); !done) return done;
  if (auto done = skeleton->load(); !done) return done;
  auto addresses = FilterMaps::fill(order.filter, *filter, bpf_map__fd((*skeleton)->maps.fl_peers),
                                    bpf_map__fd((*skeleton)->maps.fl_exceptions));
  if (!addresses) return fail(addresses.error());
  auto held = HeldSlots::map(bpf_map__fd((*skeleton)->maps.fl_delay_slots), slots);
  if (!held) return fail(held.error());
  slots_ = std::move(*held);
  programs_.reset(new Programs{std::move(*passing), std::move(*skeleton), std::move(*addresses)});
  return {};
}

Result<> DelayLine::attach(const DelayLineOrder& order) {
  const auto& programs = programs_->skeleton->progs;
  const auto link = [&](const bpf_program* program, IfIndex device, TcHook hook) -> Result<> {
    auto attached = attach_tc(order.means, bpf_program__fd(program), device, hook);
    if (!attached) return fail(attached.error());
    links_.push_back(std::move(*attached));
    links_.back().move_up();
    return {};
  };
  // The way back before the way in.
  if (auto done = tap_.open(order.means, bpf_program__fd(programs.fl_delay_return)); !done)
    return done;
  for (const IfIndex device : order.devices) {
    if (order.filter.direction != api::Direction::from)
      if (auto done = link(programs.fl_delay_to, device, TcHook::kIngress); !done) return done;
    if (order.filter.direction != api::Direction::to)
      if (auto done = link(programs.fl_delay_from, device, TcHook::kEgress); !done) return done;
  }
  return {};
}

void DelayLine::detach() {
  // The way in before the way back.
  while (!links_.empty()) links_.pop_back();
}

DelayLine::~DelayLine() {
  if (worker_)
    if (auto done = close(); !done) spdlog::warn("{}: {}", tap_.name(), done.error().message);
  detach();
}

void DelayLine::renew(KtimeNs deadline) {
  if (!closed_) renew_lease(programs_->skeleton->bss->fl_lease, deadline);
}

Result<> DelayLine::follow(const PeerSets& peers) {
  return closed_ ? Result<>{} : programs_->addresses.follow(peers);
}

// All taken packets have come back when they have passed the hook again; those that were lost on
// the way are known but for the kernel's own queues, for which there is the patience.
Result<DelayLineCounters> DelayLine::wait_for_returns() const {
  constexpr auto kPatience = std::chrono::milliseconds(500);  // without one that comes back
  constexpr auto kMost = DelayWorker::kFlush + std::chrono::milliseconds(1500);
  constexpr auto kStep = std::chrono::microseconds(500);
  const auto end = std::chrono::steady_clock::now() + kMost;
  auto patient_until = std::chrono::steady_clock::now() + kPatience;
  std::uint64_t returned = 0;
  Result<DelayLineCounters> counters = this->counters();
  while (counters && counters->gone() < counters->taken) {
    const auto now = std::chrono::steady_clock::now();
    if (counters->returned > returned || !worker_->idle()) patient_until = now + kPatience;
    if (now > std::min(end, patient_until)) break;
    returned = counters->returned;
    std::this_thread::sleep_for(kStep);
    counters = this->counters();
  }
  return counters;
}

Result<DelayLineCounters> DelayLine::wait_until_quiet(Result<DelayLineCounters> counters) const {
  constexpr auto kQuiet = std::chrono::milliseconds(20);
  for (int i = 0; i < 25 && counters && counters->gone() < counters->taken; ++i) {
    const std::uint64_t returned = counters->returned;
    std::this_thread::sleep_for(kQuiet);
    counters = this->counters();
    if (counters && counters->returned == returned) break;
  }
  return counters;
}

Result<> DelayLine::close() {
  if (closed_) return {};
  disarm_lease(programs_->skeleton->bss->fl_lease);
  worker_->flush();
  Result<DelayLineCounters> counters = wait_for_returns();
  worker_->stop();
  // What the worker wrote last may be in the kernel's queues; without our hooks it would arrive
  // uncounted.
  counters = wait_until_quiet(std::move(counters));
  detach();
  closed_ = true;
  if (!counters) return fail(counters.error());
  // Once more, because the last of them may have passed since.
  if (auto again = read_kernel()) {
    again->worker = worker_->stats();
    again->lost = again->taken - std::min(again->taken, again->returned + again->worker.dropped);
    counters = *again;
  }
  last_counters_ = *counters;
  programs_.reset();
  if (last_counters_.lost > 0)
    return fail(Errc::kInternal, std::to_string(last_counters_.lost) + " of " +
                                     std::to_string(last_counters_.taken) +
                                     " packets did not come out of the delay line");
  return {};
}

Result<DelayLineCounters> DelayLine::read_kernel() const {
  const auto& maps = programs_->skeleton->maps;
  // What came back before what was taken, so that the difference is never negative.
  const auto back = read_per_cpu<fl_line_counters>(bpf_map__fd(maps.fl_delay_counters));
  if (!back) return fail(back.error());
  const auto taken = read_counters(bpf_map__fd(maps.fl_counters));
  if (!taken) return fail(taken.error());
  DelayLineCounters sum{.matched = taken->matched,
                        .injected = taken->injected,
                        .taken = taken->injected,
                        .errors = taken->errors,
                        .first = {taken->first_ns}};
  for (const fl_line_counters& cpu : *back) {
    sum.returned += cpu.returned;
    sum.stalled += cpu.stalled;
    sum.taken += cpu.followed;
    sum.last.ns = std::max<std::uint64_t>(sum.last.ns, cpu.last_ns);
  }
  return sum;
}

Result<DelayLineCounters> DelayLine::counters() const {
  if (closed_) return last_counters_;
  auto sum = read_kernel();
  if (!sum) return sum;
  const auto dropped = tap_.dropped();
  if (!dropped) return fail(dropped.error());
  sum->worker = worker_->stats();
  sum->lost = *dropped + sum->worker.read_errors + sum->worker.write_errors;
  return sum;
}

api::Histogram DelayLine::added_latency() const { return worker_->added_latency(); }

}  // namespace faultline::agent
