// SPDX-License-Identifier: Apache-2.0
#include "agent/link/injection.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/targets/devices.h"

namespace faultline::agent {
namespace {

constexpr std::size_t kLongestWords = 128;  // bytes that the controller takes of a mechanism
// A nanosecond after boot. 0 would be read as "never".
constexpr KtimeNs kOver{1};

// A total read a moment later is never smaller; per-CPU counters that are read one after the other
// can make it look so.
void advance(FaultCounters& to, FaultCounters read) {
  read.matched = std::max(read.matched, to.matched);
  read.injected = std::max(read.injected, to.injected);
  read.errors = std::max(read.errors, to.errors);
  read.lost = std::max(read.lost, to.lost);
  read.stalled = std::max(read.stalled, to.stalled);
  read.flushed = std::max(read.flushed, to.flushed);
  read.first_injected = earliest(read.first_injected, to.first_injected);
  read.last_injected = std::max(read.last_injected, to.last_injected);
  for (const auto& [name, n] : to.by_errno) read.by_errno[name] = std::max(read.by_errno[name], n);
  for (const auto& [name, n] : to.by_call) {
    api::EventCount& now = read.by_call[name];
    now = {std::max(now.matched, n.matched), std::max(now.injected, n.injected)};
  }
  if (read.added_latency.count() < to.added_latency.count()) read.added_latency = to.added_latency;
  // Bytes and seconds belong together.
  if (to.link && (!read.link || read.link->seconds < to.link->seconds)) {
    const std::uint64_t dropped = read.link ? read.link->dropped : 0;
    read.link = to.link;
    read.link->dropped = std::max(dropped, to.link->dropped);
  }
  to = std::move(read);
}

}  // namespace

std::uint64_t injection_seed(std::uint64_t run_seed, std::string_view pod, std::uint64_t index) {
  std::uint64_t h = 0xcbf29ce484222325u;
  const auto byte = [&](std::uint64_t b) { h = (h ^ (b & 0xff)) * 0x100000001b3u; };
  const auto word = [&](std::uint64_t w) {
    for (int shift = 0; shift < 64; shift += 8) byte(w >> shift);
  };
  word(run_seed);
  for (const char c : pod) byte(static_cast<unsigned char>(c));
  byte(0);
  word(index);
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
  h ^= h >> 31;
  return h == 0 ? 1 : h;
}

Injection::Injection(api::PodRef pod, std::size_t index, std::string fault, const Clock& clock)
    : pod_(std::move(pod)), index_(index), fault_(std::move(fault)), clock_(clock) {}

Result<> Injection::arm(const FaultType& type, const api::Fault& fault, const Pod& place,
                        const ArmContext& context, const std::vector<Container>& containers) {
  disarm();
  const api::NetworkFilter* filter = api::network_filter(fault);
  const bool by_device = filter != nullptr && !std::holds_alternative<api::SocketError>(fault.spec);
  auto here = by_device && !filter->interfaces.empty() ? with_interfaces(place, filter->interfaces)
                                                       : Result<Pod>(place);
  if (!here) return fail(here.error().with_context(fault_ + " on " + pod_.id()));
  if (by_device && here->interfaces.empty() && !here->aside.empty())
    return fail(Errc::kUnsupported,
                fault_ + " on " + pod_.id() + ": " + aside_words(*here, kLongestWords));
  ArmContext waiting = context;
  waiting.deadline = kOver;
  const SteadyTime begin = clock_.steady();
  auto armed = containers.empty() ? type.arm(fault, *here, waiting)
                                  : arm_in_containers(type, fault, *here, containers, waiting);
  if (!armed) return fail(armed.error());
  spdlog::debug("{}: {} took {:.0f} ms to arm", pod_.id(), fault_,
                std::chrono::duration<double, std::milli>(clock_.steady() - begin).count());
  armed_ = std::move(*armed);
  peers_ = context.peers;
  alone_since_.reset();
  mechanism_ = armed_->mechanism();
  // A reader of the row sees what was left alone.
  if (by_device && !here->aside.empty() && mechanism_.size() + 20 < kLongestWords)
    mechanism_ += "; " + aside_words(*here, kLongestWords - mechanism_.size() - 2);
  state_ = State::kArmed;
  reason_.clear();
  ended_by_.clear();
  disarmed_at_ = {};
  changed_ = true;
  return {};
}

void Injection::begin(KtimeNs deadline) {
  if (state_ != State::kArmed || begun_.ns != 0) return;
  armed_->renew(deadline);
  begun_ = clock_.ktime();
  deadline_ = deadline;
  if (!armed_at_.set()) armed_at_ = {clock_.utc()};
  changed_ = true;
}

Result<> Injection::follow(const PeerSets& peers) {
  if (state_ != State::kArmed || peers == peers_) return {};
  const bool was_alone = peers_.only.empty();
  if (auto followed = armed_->follow(peers); !followed) return followed;
  peers_ = peers;
  if (!peers_.only.empty())
    alone_since_.reset();
  else if (!was_alone)
    alone_since_ = clock_.steady();
  return {};
}

bool Injection::block(std::string reason, bool for_peers) {
  if (state_ == State::kBlocked) return false;
  disarm();
  blocked_for_peers_ = for_peers;
  state_ = State::kBlocked;
  reason_ = std::move(reason);
  changed_ = true;
  return true;
}

void Injection::unblock() {
  if (state_ != State::kBlocked) return;
  state_ = armed_at_.set() ? State::kDisarmed : State::kIdle;
  reason_.clear();
  changed_ = true;
}

void Injection::renew(KtimeNs deadline) {
  if (!armed_ || begun_.ns == 0) return;
  armed_->renew(deadline);
  if (clock_.ktime() >= deadline_) {  // it had ended, and begins again
    acted_before_ = acted();
    begun_ = clock_.ktime();
  }
  deadline_ = deadline;
}

void Injection::halt(std::string why) {
  if (!armed_) return;
  armed_->renew(kOver);
  if (begun_.ns == 0) return;
  acted_before_ = acted();
  begun_ = {};
  ended_by_ = std::move(why);
}

void Injection::end(std::string why) {
  if (state_ != State::kArmed) return;
  halt(std::move(why));
  state_ = State::kEnded;
  alone_since_.reset();
  changed_ = true;
}

std::chrono::nanoseconds Injection::acted() const {
  if (begun_.ns == 0) return acted_before_;
  const KtimeNs end = std::min(clock_.ktime(), deadline_);
  return acted_before_ + std::chrono::nanoseconds(end.ns - std::min(end.ns, begun_.ns));
}

void Injection::disarm(std::string why) {
  if (!armed_) return;
  end(std::move(why));
  if (auto ended = armed_->disarm(); !ended)
    spdlog::warn("{} on {}: {}", fault_, pod_.id(), ended.error().message);
  disarmed_at_ = {clock_.utc()};
  refresh();
  armed_.reset();
  current_.held = 0;  // what was in the line is out, or lost
  before_ = sum(before_, current_);
  current_ = {};
  state_ = State::kDisarmed;
  changed_ = true;
}

void Injection::refresh() {
  if (!armed_) return;
  auto read = armed_->read();
  if (!read) {
    if (++read_errors_ == 1)
      spdlog::warn("cannot read the counters of {} on {}: {}", fault_, pod_.id(),
                   read.error().message);
    return;
  }
  advance(current_, std::move(*read));
  changed_ = true;
}

FaultCounters Injection::totals() const { return sum(before_, current_); }

api::InjectionStatus Injection::status() {
  FaultCounters total = totals();
  // Each kernel time is mapped to UTC once, so that it reads the same in every batch.
  if (!first_at_.set() && total.first_injected.ns != 0) {
    first_at_ = {clock_.to_utc(total.first_injected)};
    // arm() returns a moment after the kernel began: the first packet is the better witness.
    armed_at_ = std::min(armed_at_, first_at_);
  }
  if (total.last_injected.ns != 0 && total.last_injected != last_) {
    last_ = total.last_injected;
    last_at_ = total.last_injected == total.first_injected ? first_at_
                                                           : api::Timestamp{clock_.to_utc(last_)};
  }
  api::InjectionStatus s;
  s.pod = pod_;
  s.fault = fault_;
  s.index = static_cast<std::int64_t>(index_);
  s.mechanism = mechanism_;
  switch (state_) {  // no default: a new state must be thought about here
    case State::kArmed:
    case State::kEnded:
      s.state = api::InjectionState::armed;
      break;
    case State::kBlocked:
      s.state = api::InjectionState::blocked;
      break;
    case State::kIdle:
    case State::kDisarmed:
      s.state = api::InjectionState::disarmed;
      break;
  }
  s.reason = state_ == State::kBlocked ? reason_ : ended_by_;
  s.matched = total.matched;
  s.injected = total.injected;
  s.errors = total.errors;
  s.lost = total.lost;
  s.stalled = total.stalled;
  s.held = total.held;
  s.heldAtEnd = total.flushed;
  s.armedSeconds = std::chrono::duration<double>(acted()).count();
  s.byErrno = std::move(total.by_errno);
  s.byCall = std::move(total.by_call);
  s.addedLatency = std::move(total.added_latency);
  s.link = total.link;
  s.armedAt = armed_at_;
  s.disarmedAt = disarmed_at_;
  s.firstInjectedAt = first_at_;
  s.lastInjectedAt = last_at_;
  return s;
}

bool Injection::take_changed() { return std::exchange(changed_, false); }

}  // namespace faultline::agent
