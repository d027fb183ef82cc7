// SPDX-License-Identifier: Apache-2.0
// Was the fault that happened the fault that was asked? docs/decisions/0005 says why these limits.
#include <algorithm>
#include <cmath>

#include "report/analysis.h"
#include "report/format.h"
#include "report/stats.h"

namespace faultline::report {
namespace {

// A rate may differ by this share of what was asked whatever the counts say: with millions of
// events the exact interval is narrower than the counters are simultaneous.
constexpr double kRateTolerance = 0.005;
constexpr double kLatencyTolerance = 0.05;
constexpr double kLatencyFloor = 0.5e-3;  // seconds
constexpr double kBitRateTolerance = 0.05;
// Shorter, and a clock that is a few milliseconds late decides.
constexpr double kLeastBusy = 0.1;  // seconds
// Of the phase; or so much less than the phase, because arming takes its time in a short one.
constexpr double kLeastArmed = 0.9;
constexpr double kArming = 0.5;  // seconds
// Of the CPU time that workers were to ask for: so much nobody asked for before it is told.
constexpr double kNotAsked = 0.1;

struct Asked {
  std::optional<double> rate;
  double independent = 1;  // effective events per event
  // Latency faults only; seconds.
  std::optional<double> latency;
  double median_error = 0;  // deviation of the measured middle, times sqrt(effective events)
  double latency_independent = 1;
  std::optional<double> bits_per_second;
  bool judge_mean = false;  // a skewed distribution: its mean is what was asked, not its median
};

double syscall_share(const api::SyscallFilter& f) { return f.probability.value; }
bool syscall_has_rate(const api::SyscallFilter& f) {
  return f.every <= 1 && f.count == 0 && f.after == 0;
}

void ask_delay(Asked& asked, const api::Duration& latency, const api::Duration& jitter,
               api::Distribution distribution) {
  asked.latency = latency.seconds();
  // The deviation of a sample median is 1 / (2 f(m) sqrt(n)) (Kendall and Stuart, The Advanced
  // Theory of Statistics 1, sec. 10.10): uniform of half-width j has f = 1 / 2j, so j / sqrt(n);
  // normal has sqrt(pi / 2) sigma / sqrt(n). Of a mean it is sigma / sqrt(n).
  const double j = jitter.seconds();
  asked.median_error = distribution == api::Distribution::normal ? 1.2533 * j : j;
  asked.judge_mean = distribution == api::Distribution::pareto && j > 0;
}

Asked ask(const api::NetworkLatency& f) {
  Asked asked{.rate = f.probability.value,
              .latency_independent = independent_share(f.correlation.value)};
  ask_delay(asked, f.latency, f.jitter, f.distribution);
  return asked;
}
Asked ask(const api::NetworkLoss& f) {
  return {.rate = f.loss.value, .independent = independent_share(f)};
}
Asked ask(const api::NetworkDuplicate& f) {
  return {.rate = f.duplicate.value, .independent = independent_share(f.correlation.value)};
}
Asked ask(const api::NetworkCorrupt& f) {
  return {.rate = f.corrupt.value, .independent = independent_share(f.correlation.value)};
}
Asked ask(const api::NetworkReorder& f) {
  return {.rate = f.reorder.value, .independent = independent_share(f.correlation.value)};
}
Asked ask(const api::NetworkBandwidth& f) {
  Asked asked;
  asked.bits_per_second = static_cast<double>(f.rate.bits_per_second);
  return asked;
}
Asked ask(const api::NetworkPartition&) { return {.rate = 1}; }
Asked ask(const api::TcpReset& f) { return {.rate = f.probability.value}; }
Asked ask(const api::DnsError& f) {
  Asked asked{.rate = f.probability.value};
  if (f.delay) asked.latency = f.delay->seconds();
  return asked;
}
Asked ask(const api::SocketError& f) { return {.rate = f.probability.value}; }
Asked ask(const api::SyscallError& f) {
  return syscall_has_rate(f) ? Asked{.rate = syscall_share(f)} : Asked{};
}
Asked ask(const api::SyscallLatency& f) {
  Asked asked;
  if (syscall_has_rate(f)) asked.rate = syscall_share(f);
  ask_delay(asked, f.latency, f.jitter, f.distribution);
  return asked;
}
// Pressure, pause and kill have neither.
template <class T>
Asked ask(const T&) {
  return {};
}

std::string interval_words(const api::Interval& interval) {
  return percent_words(interval.low) + " to " + percent_words(interval.high);
}

// Packets that wait in the delay line when the fault ends leave it early and were not delayed in
// full: as many as arrive within the asked latency.
double in_flight(const api::InjectionStatus& status, const Asked& asked) {
  if (!asked.latency || !status.firstInjectedAt.set() || !status.lastInjectedAt.set()) return 0;
  const double seconds =
      std::chrono::duration<double>(status.lastInjectedAt.value - status.firstInjectedAt.value)
          .count();
  if (seconds <= 0) return static_cast<double>(status.matched);
  return std::ceil(1.5 * static_cast<double>(status.matched) / seconds * *asked.latency) + 1;
}

void judge_rate(const Asked& asked, const api::InjectionStatus& status, api::InjectionReport& row,
                std::vector<std::string>& faults) {
  const auto n = static_cast<double>(status.matched) * asked.independent;
  if (asked.bits_per_second) return;  // which packets wait is the traffic's doing, not chance
  const double rate = *row.rate;
  row.rateCi95 = clopper_pearson(rate * n, n, kReported);
  if (!asked.rate) return;
  row.askedRate = asked.rate;
  if (std::abs(rate - *asked.rate) <= kRateTolerance * *asked.rate) return;
  if (*asked.rate >= 1) {  // a certain event has no interval: each one that was spared counts
    const auto spared = static_cast<double>(status.matched) - static_cast<double>(status.injected) -
                        static_cast<double>(status.lost);
    if (spared > in_flight(status, asked))
      faults.push_back(count_words(status.matched - status.injected) + " of " +
                       plural(status.matched, "matching event", "matching events") +
                       " passed untouched");
    return;
  }
  const api::Interval wide = clopper_pearson(rate * n, n, kVerdict);
  if (*asked.rate < wide.low || *asked.rate > wide.high)
    faults.push_back("asked " + percent_words(*asked.rate) + ", injected " + percent_words(rate) +
                     "; what was counted fits a rate of " + interval_words(wide) +
                     " (99.9 % interval)");
}

void judge_latency(const Asked& asked, const api::InjectionStatus& status,
                   api::InjectionReport& row, std::vector<std::string>& faults) {
  const api::Histogram& added = status.addedLatency;
  row.askedLatency = asked.latency;
  const auto count = static_cast<double>(added.count());
  if (count == 0) {
    faults.push_back(row.heldAtEnd > 0 ? "no packet waited in full before the fault ended"
                                       : "the added latency was not measured");
    return;
  }
  row.addedLatency = {added.quantile(0.5), added.quantile(0.95), added.quantile(0.99)};
  const double effective = std::max(1.0, count * asked.latency_independent);
  const double chance = normal_quantile(kVerdict) * asked.median_error / std::sqrt(effective);
  const double allowed = std::max({kLatencyFloor, kLatencyTolerance * *asked.latency, chance});
  const double middle = asked.judge_mean ? added.sum / count : *row.addedLatency->p50;
  if (std::abs(middle - *asked.latency) > allowed)
    faults.push_back((asked.judge_mean ? "mean of " : "median of ") + seconds_words(middle, 4) +
                     " added, asked " + seconds_words(*asked.latency, 4) + " (allowed: +- " +
                     seconds_words(allowed) + ")");
}

void judge_link(const Asked& asked, const api::InjectionStatus& status, api::InjectionReport& row,
                std::vector<std::string>& faults) {
  const api::LinkUse use = status.link.value_or(api::LinkUse{});
  row.link = api::LinkReport{.asked = *asked.bits_per_second, .dropped = use.dropped};
  if (const api::Histogram& waited = status.addedLatency; waited.count() > 0)
    row.addedLatency = {waited.quantile(0.5), waited.quantile(0.95), waited.quantile(0.99)};
  if (use.seconds < kLeastBusy) return;
  row.link->measured = static_cast<double>(use.bytes) * 8 / use.seconds;
  if (std::abs(*row.link->measured - row.link->asked) > kBitRateTolerance * row.link->asked)
    faults.push_back(number_words(*row.link->measured / 1e6, 4) +
                     " Mbit/s passed while packets waited, asked " +
                     number_words(row.link->asked / 1e6, 4) + " (allowed: +- " +
                     percent_words(kBitRateTolerance) + ")");
}

// Of a fault that acts on packets or calls.
void judge_events(const Asked& asked, const api::InjectionStatus& status, api::InjectionReport& row,
                  std::vector<std::string>& faults) {
  judge_rate(asked, status, row, faults);
  if (asked.bits_per_second) judge_link(asked, status, row, faults);
  if (status.injected == 0 && asked.bits_per_second)
    faults = {"none of " + plural(status.matched, "packet", "packets") +
              " had to wait: the pod's traffic stayed below the limit"};
  else if (status.injected == 0)
    faults = {plural(status.matched, "event", "events") + " matched and none was hit"};
  else if (asked.latency)
    judge_latency(asked, status, row, faults);
  const bool is_loss = !asked.latency && !asked.bits_per_second;
  if (status.lost > 0)
    faults.push_back(plural(status.lost, "packet was", "packets were") +
                     (is_loss ? " lost beside those that were asked: the kernel had no room for "
                                "them while pieces were cut"
                      : asked.bits_per_second ? " lost beside those that the full queue dropped"
                                              : " lost where only a delay was asked"));
  // Of a loss, packets of pieces that should have lost some: few losses are few of those.
  const double tolerance = kRateTolerance * (is_loss ? asked.rate.value_or(1) : 1);
  if (static_cast<double>(status.stalled) > tolerance * static_cast<double>(status.matched))
    faults.push_back(
        plural(status.stalled, "packet", "packets") +
        (is_loss ? " passed in pieces that should have lost some: too many were being cut"
                 : " passed at once: the agent was stopped, late or had no memory for more"));
  if (status.errors > 0)
    faults.push_back("the kernel refused our helper " + plural(status.errors, "time", "times") +
                     "; those events passed unchanged");
}

// cpuPressure counts milliseconds of CPU time: matched were to be asked for, injected were got.
// That the pod's limit or the node's other work left fewer than were asked is the pressure itself,
// and no fault; that nobody asked for them is one.
void judge_pressure(const api::InjectionStatus& status, std::vector<std::string>& faults) {
  const auto of_asked = " of " + count_words(status.matched) + " ms of CPU time ";
  if (status.injected == 0) faults.push_back("none" + of_asked + "were got");
  if (status.lost > 0)
    faults.push_back(count_words(status.lost) + of_asked +
                     "were not asked for, since a worker had been killed");
  if (static_cast<double>(status.stalled) > kNotAsked * static_cast<double>(status.matched))
    faults.push_back(count_words(status.stalled) + of_asked +
                     "were not asked for, since workers were stopped or frozen");
  if (status.errors > 0)
    faults.push_back(plural(status.errors, "worker", "workers") + " could not be started again");
}

// What left the line early when the fault ended is in no figure of the delay. What an agent took
// with it is lost, and nobody counted it.
void judge_end(const api::InjectionStatus& status, const JudgedPlace& place,
               std::vector<std::string>& faults) {
  if (!place.end_untold) return;
  if (status.held > 0)
    faults.push_back("up to " + plural(status.held, "packet was", "packets were") +
                     " in the line when the agent ended");
  else
    faults.emplace_back("the agent was not heard of again while the fault was armed");
}

void judge_armed(const api::InjectionStatus& status, const JudgedPlace& place,
                 std::vector<std::string>& faults) {
  if (!status.armedSeconds || !place.phase_seconds) return;
  const double phase = *place.phase_seconds;
  if (*status.armedSeconds >= std::min(kLeastArmed * phase, phase - kArming)) return;
  faults.push_back("armed " + seconds_words(*status.armedSeconds) + " of " + seconds_words(phase) +
                   (status.reason.empty() ? "" : ": " + status.reason));
}

}  // namespace

void judge(const api::Fault& fault, const api::InjectionStatus& status, api::InjectionReport& row,
           const JudgedPlace& place) {
  const Asked asked = std::visit([](const auto& f) { return ask(f); }, fault.spec);
  const bool pressure = std::holds_alternative<api::CpuPressure>(fault.spec);
  row.askedRate = asked.rate;
  row.askedLatency = asked.latency;
  if (status.state == api::InjectionState::blocked || !status.armedAt.set()) {
    row.verdict = api::InjectionVerdict::blocked;
    row.reason = status.reason.empty() ? "the fault was never armed" : status.reason;
    return;
  }
  if (status.matched == 0) {
    row.verdict = api::InjectionVerdict::no_traffic;
    row.reason =
        place.bypass.empty()
            ? pressure ? "the workers were never to begin"
                       : "nothing that the pod did matched the fault's filter while it was armed"
            : place.bypass;
    return;
  }
  row.rate = static_cast<double>(status.injected) / static_cast<double>(status.matched);

  std::vector<std::string> faults;
  if (!place.bypass.empty()) faults.push_back(place.bypass);
  if (pressure)
    judge_pressure(status, faults);
  else
    judge_events(asked, status, row, faults);
  judge_armed(status, place, faults);
  judge_end(status, place, faults);
  row.verdict = faults.empty() ? api::InjectionVerdict::confirmed : api::InjectionVerdict::partial;
  row.reason = join(faults, "; ");
}

}  // namespace faultline::report
