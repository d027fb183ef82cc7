// SPDX-License-Identifier: Apache-2.0
// The lease of a run, and what ends with it.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/link/run.h"
#include "agent/link/words.h"
#include "base/log.h"

namespace faultline::agent {
namespace {

constexpr std::chrono::seconds kTellAway{1};
constexpr double kLongestFault = 30 * 86400.0;  // seconds; a bound for arithmetic only

}  // namespace

void Run::renew(AnswerTimes times) {
  if (closing_) return;
  const Unlogged hush(quiet_);
  last_answer_ = times.arrived;
  away_ = all_away_ = {};
  suspended_ = false;
  lease_.renew(times.sent, desired_.leaseSeconds);
  // From when the answer arrived: it is known to have left before, so that this is never early, and
  // what it was late by is taken back by the next that is not.
  if (desired_.phase == api::RunPhase::fault && desired_.faultSecondsLeft)
    lease_.end_by(last_answer_ + std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::duration<double>(std::clamp(
                                         *desired_.faultSecondsLeft, 0.0, kLongestFault))));
  renew_all();
}

// What was armed acts until the lease ends, and windows end there, whoever runs then.
void Run::renew_all() {
  const KtimeNs deadline = lease_.kernel_deadline();
  for (auto& [id, place] : places_)
    for (const auto& injection : place.injections) injection->renew(deadline);
  if (armed() == 0 || before_) return;
  for (auto& [id, place] : places_)
    if (place.measurement && deadline > ktime_of(place.measurement->since()))
      place.measurement->cut_at(deadline);
}

void Run::was_away(std::chrono::nanoseconds time) {
  away_ = std::max(away_, time);
  if (time >= kTellAway) all_away_ += time;
}

void Run::check_lease() {
  const Unlogged hush(quiet_);
  count_sleep();
  if (closing_ || armed() == 0) return;
  const SteadyTime now = deps_.clock.steady();
  if (lease_.valid(now)) return;
  const std::size_t n = armed();
  faults_over_ = true;
  // As was to be: the controller's next answer only says the same.
  if (lease_.ended(now)) return end_all();
  // Then answers may have come that it did not look at.
  const std::string busy =
      away_ < kTellAway
          ? ""
          : ": it was busy, or stopped, for " +
                seconds_words(std::chrono::round<std::chrono::milliseconds>(away_ / 100) * 100);
  end_all("the lease ran out: the agent had no answer of the controller" + busy);
  const UtcTime at = utc_of(lease_.deadline());
  api::RunEvent e;
  e.kind = api::RunEventKind::lease_expired;
  e.at = {at};
  e.text = (busy.empty() ? "no answer of the controller to anything sent in "
                         : "the agent took no answer of the controller in ") +
           seconds_words(lease_.length()) + busy + ": the kernel ended " + counted(n, "fault");
  spdlog::warn("{}: {}", id(), e.text);
  out_.events.push_back(std::move(e));
  ++counts_.leases_expired;
  idle_since_ = at;
  idle_reason_ = "the lease ran out: nothing was injected from then on";
}

// While the machine slept, the kernel's clock stood still and so did its deadlines.
void Run::count_sleep() {
  const auto slept = deps_.slept();
  const auto asleep = slept - std::exchange(slept_, slept);
  if (asleep <= std::chrono::nanoseconds(0)) return;
  lease_.slept(asleep);
  renew_all();
}

}  // namespace faultline::agent
