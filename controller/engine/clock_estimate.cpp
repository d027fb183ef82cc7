// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/clock_estimate.h"

#include <cmath>

namespace faultline::controller {
namespace {

constexpr std::chrono::seconds kKeep{60};
constexpr std::size_t kMost = 128;
// What two clocks may drift apart in a second (RFC 5905 calls it PHI).
constexpr double kDrift = 15e-6;
constexpr double kLongest = 60;  // seconds; a longer exchange says nothing
constexpr double kFarthest = 10.0 * 365 * 86400;

double seconds(std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void ClockEstimate::add(const api::SyncRequest& request, Instant received) {
  if (request.sentAt.set()) {
    // In seconds: the difference of two times that are centuries apart has no nanoseconds.
    const double ahead =
        seconds(request.sentAt.value.time_since_epoch()) - seconds(received.utc.time_since_epoch());
    ahead_ = std::abs(ahead) <= kFarthest ? ahead : 0;
  }
  if (!request.clockOffset || !request.clockRoundTrip) return;
  const double round_trip = *request.clockRoundTrip, offset = *request.clockOffset;
  if (!(round_trip >= 0 && round_trip <= kLongest) || !(std::abs(offset) <= kFarthest)) return;
  const Sample sample{received.steady, {offset, round_trip / 2}};
  // A clock that was set makes what was known of it worthless.
  if (!samples_.empty() && !sample.offset.agrees(best(received.steady))) samples_.clear();
  samples_.push_back(sample);
  while (samples_.size() > kMost || received.steady - samples_.front().at > kKeep)
    samples_.pop_front();
}

ClockOffset ClockEstimate::best(SteadyTime now) const {
  ClockOffset best{ahead_, kAssumedDelay};
  bool first = true;
  for (const Sample& sample : samples_) {
    ClockOffset aged = sample.offset;
    aged.uncertainty += kDrift * seconds(now - sample.at);
    if (first || aged.uncertainty < best.uncertainty) best = aged;
    first = false;
  }
  return best;
}

void to_our_clock(api::RunBatch& batch, double offset) {
  if (offset == 0) return;
  const auto by = std::chrono::nanoseconds(std::llround(offset * 1e9));
  const auto move = [by](api::Timestamp& t) {
    if (!t.set()) return;
    // What would be beyond all times stays what it is, and is refused as impossible.
    std::int64_t moved = 0;
    if (!__builtin_sub_overflow(std::int64_t{t.value.time_since_epoch().count()},
                                std::int64_t{by.count()}, &moved))
      t.value = UtcTime(std::chrono::nanoseconds(moved));
  };
  for (api::InjectionStatus& injection : batch.injections) {
    move(injection.armedAt);
    move(injection.disarmedAt);
    move(injection.firstInjectedAt);
    move(injection.lastInjectedAt);
  }
  for (api::EffectWindow& window : batch.windows) {
    move(window.from);
    move(window.to);
  }
  for (api::Gap& gap : batch.gaps) {
    move(gap.from);
    move(gap.to);
  }
  for (api::RunEvent& event : batch.events) move(event.at);
}

}  // namespace faultline::controller
