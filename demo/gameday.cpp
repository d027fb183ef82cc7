// SPDX-License-Identifier: Apache-2.0
#include "demo/gameday.h"

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>

#include "agent/kernel/feature_probe.h"
#include "demo/day.h"
#include "demo/day_claims.h"
#include "demo/program.h"
#include "demo/recovery.h"
#include "demo/run.h"
#include "demo/words.h"

namespace faultline::demo {
namespace {

using api::DayState;
using api::StepOutcome;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// A request that straddles the begin or end of a fault belongs to neither side.
constexpr milliseconds kBorder{300};

struct Measured {
  std::vector<Probe> before, during, after;
};

// Around the fault of a step, which has acted: before it from its run's begin on, after it until
// now.
Measured measured(const Prober& prober, const api::DayRun& run, milliseconds settled = kBorder) {
  const auto from = steady_of(run.firstInjectedAt), to = steady_of(run.lastInjectedAt);
  return {prober.between(steady_of(run.begunAt), from - kBorder),
          prober.between(from + kBorder, to - kBorder),
          prober.between(to + settled, Steady::now())};
}

std::vector<std::string> times(const std::string& name, const Measured& m) {
  return {name, ms_words(median(m.before)), ms_words(median(m.during)), ms_words(median(m.after))};
}
std::vector<std::string> failures(const std::string& name, const Measured& m) {
  return {name, percent_words(failed_share(m.before)), percent_words(failed_share(m.during)),
          percent_words(failed_share(m.after))};
}

// Runs the day to its end.
DayLeft run_day(const DayGround& ground, const std::string& folder) {
  auto day = ground.begin(folder);
  const int status = finish(day);
  return what_is_left(ground, status, folder);
}

// ---- a slow dependency

bool was_slow(const DayGround& ground, const DayLeft& left) {
  const api::DayRun& run = run_of(left, "slow");
  const Measured checkout = measured(ground.shop().checkout(), run);
  const Measured catalog = measured(ground.shop().catalog(), run);
  blank();
  table({{"", "before", "during", "after"},
         times("checkout, stopwatch", checkout),
         times("catalog, stopwatch", catalog)});
  blank();
  const nanoseconds added = median(checkout.during) - median(checkout.before);
  bool good = claim(
      added >= milliseconds(270) && added <= milliseconds(420),
      "Customers waited " + ms_words(added) + " longer; twice 150 ms is what the fault should do.");
  good &= claim(median(checkout.after) < median(checkout.before) + milliseconds(30),
                "When the fault was over, checkout was as fast as before.");
  return good;
}

bool surprised(const DayLeft& left) {
  for (const api::DaySurprise& one : left.report.surprises)
    if (one.kind == api::SurpriseKind::hidden && one.step == "slow")
      return claim(!one.seconds, "The surprise is told, and that nobody was there to find it.");
  return claim(false, "The report should tell the surprise.");
}

bool rehearsed(const DayLeft& left) {
  for (const api::DayCheck& check : left.report.checks)
    if (check.seconds)
      return claim(check.good && *check.seconds < 2,
                   "The abort was rehearsed: the last packet was hit " +
                       ms_words(nanoseconds(static_cast<std::int64_t>(*check.seconds * 1e9))) +
                       " after the order.");
  return claim(false, "The report should tell the rehearsed abort.");
}

// False: it has not within a minute, or the day has ended.
bool wait_until_begun(const DayGround& ground, const std::string& step,
                      const std::function<bool()>& ended) {
  for (const auto limit = Steady::now() + std::chrono::minutes(1);
       Steady::now() < limit && !ended(); pause(milliseconds(300)))
    if (ground.has_begun(step)) return true;
  return false;
}

// kill -9 twice in the middle of a step: while the fault acts, and while it is measured whether all
// is well again.
void kill_controller_twice(DayGround& ground, testbed::Child& day) {
  const auto ended = [&] { return testbed::has_ended(day); };
  if (!wait_until_begun(ground, "slow", ended) ||
      !wait_until_slow(ground.shop().checkout(), ended, Steady::now()))
    throw std::runtime_error("the fault does not come");
  typed("kill -9 $(pidof faultline-controller); faultline-controller ... &    # in the fault");
  ground.cluster().restart_controller();
  const auto fast = [&] {
    const auto now = Steady::now();
    const auto newest = ground.shop().checkout().between(now - milliseconds(600), now);
    return ended() || (newest.size() > 4 && median(newest) < milliseconds(80));
  };
  if (!wait_for(fast, milliseconds(40'000))) throw std::runtime_error("the fault does not end");
  typed("kill -9 $(pidof faultline-controller); faultline-controller ... &    # in the recovery");
  ground.cluster().restart_controller();
}

bool agent_killed(DayGround& ground, const std::string& folder) {
  constexpr milliseconds kStep{25};
  const auto checkout = ground.shop().ask_checkout(kStep);
  auto day = ground.begin(folder);
  const auto ended = [&] { return testbed::has_ended(day); };
  if (!wait_until_begun(ground, "slow", ended) || !wait_until_slow(*checkout, ended, Steady::now()))
    throw std::runtime_error("the fault does not come");
  typed("kill -9 " + std::to_string(ground.cluster().agent_pid()) + "    # faultline-agent");
  const auto kill = Steady::now();
  ground.cluster().kill_agent();
  const int status = finish(day);
  pause(milliseconds(500));
  const DayLeft left = what_is_left(ground, status, folder);
  blank();
  bool good = fast_again(*checkout, kill, kStep);
  good &= ended_as(left, 5, DayState::completed,
                   "The day went on to its end and says that a step failed");
  good &= step_was(left, "slow", StepOutcome::failed);
  const api::DayRun& run = run_of(left, "slow");
  good &= claim(run.state == api::RunState::Failed && !run.residue,
                "The report has the run as failed, and does not claim to know what it could not "
                "check: " +
                    run.stateReason);
  good &= claim(!left.report.gaps.empty(), "What is not known is a gap with its reason.");
  good &= figures_are_of_the_timeline(folder);
  return good;
}

// The controller was away for less than the fault's lease of 3 s, twice.
bool told_after_restart(const DayGround& ground, const DayLeft& left) {
  const api::DayRun& run = run_of(left, "slow");
  const auto acted = run.lastInjectedAt.value - run.firstInjectedAt.value;
  bool good = claim(acted > std::chrono::seconds(13),
                    "The fault acted for " + ms_words(acted) + ", as if nobody had been killed.");
  good &= claim(std::ranges::any_of(left.report.gaps,
                                    [](const api::DayGap& gap) {
                                      return gap.reason.find("the controller was restarted") !=
                                             std::string::npos;
                                    }),
                "The moments in which nobody followed the monitoring are gaps.");
  return good & alert_told_truly(ground, left, "slow", "CheckoutSlow");
}

bool slow_dependency(DayGround& ground, const DayStage& stage, const std::string& folder) {
  paragraph(
      "payments answers 150 ms late, and checkout, which asks it for each order, waits twice: to "
      "connect and for the answer. Only who leads the day knows. Before the first step the abort "
      "is "
      "rehearsed with the real fault.");
  if (stage.killed == Killed::kAgent) return agent_killed(ground, folder);
  auto day = ground.begin(folder);
  if (stage.killed == Killed::kController) kill_controller_twice(ground, day);
  const int status = finish(day);
  const DayLeft left = what_is_left(ground, status, folder);
  const bool restarted = stage.killed == Killed::kController;
  bool good =
      ended_as(left, 0, DayState::completed,
               restarted ? "The day went on as if nobody had been killed" : "All was as believed");
  if (!has_acted(left, "slow")) return false;
  good &= was_slow(ground, left);
  good &= restarted ? told_after_restart(ground, left)
                    : alert_told_truly(ground, left, "slow", "CheckoutSlow");
  good &= step_was(left, "paged", StepOutcome::met);
  good &= step_was(left, "mend", StepOutcome::skipped);
  good &= surprised(left);
  good &= rehearsed(left);
  good &= nothing_twice(left);
  good &= figures_are_of_the_timeline(folder);
  return good;
}

// ---- refused connections

bool refused(DayGround& ground, const DayStage&, const std::string& folder) {
  paragraph(
      "First every second connect() of checkout fails, as if payments were restarting; then each. "
      "The day has said beforehand when it goes too far: when more than 70 % of the requests "
      "fail.");
  const DayLeft left = run_day(ground, folder);
  pause(milliseconds(1500));
  if (!has_acted(left, "half") || !has_acted(left, "all")) return false;
  const Measured half = measured(ground.shop().checkout(), run_of(left, "half"));
  const Measured all = measured(ground.shop().checkout(), run_of(left, "all"));
  const auto rest = ground.shop().checkout().between(steady_of(left.report.overAt), Steady::now());
  blank();
  table({{"checkout, stopwatch: failed", "before", "during", "after"},
         {"every second refused", percent_words(failed_share(half.before)),
          percent_words(failed_share(half.during)), "-"},
         failures("all refused, aborted", all)});
  blank();
  const double share = failed_share(half.during);
  bool good = claim(share > 0.35 && share < 0.65, percent_words(share) + " of the orders failed.");
  good &= claim(failed_share(all.during) > 0.9, "Then nearly all did.");
  good &= claim(failed_share(all.after) < 0.05 && failed_share(rest) < 0.05,
                "Since the abort none fails.");
  good &= ended_as(left, 4, DayState::aborted, "The abort condition ended the day");
  good &= claim(left.report.stateReason.find("request.errors") != std::string::npos,
                "The report says which one: " + left.report.stateReason + ".");
  good &= step_was(left, "half", StepOutcome::met);
  good &= step_was(left, "mend", StepOutcome::skipped);
  good &= step_was(left, "quiet", StepOutcome::met);
  good &= step_was(left, "all", StepOutcome::aborted);
  good &= alert_told_truly(ground, left, "half", "CheckoutFailing");
  good &= nothing_twice(left);
  good &= figures_are_of_the_timeline(folder);
  return good;
}

// ---- a disk that fails

bool can_fail_writes() {
  const agent::FeatureProbe features;
  return features.has(agent::KernelFeature::kLsm) ||
         features.has(agent::KernelFeature::kFmodRetSyscall);
}

// The rehearsal of the abort begins the real fault, so it is where this shows.
bool refused_by_kernel(const DayGround& ground, const std::string& folder) {
  paragraph(
      "This machine's kernel has neither BPF LSM nor fmod_ret on system calls, so Faultline cannot "
      "fail a write here. It has to say so before the first step.");
  const auto start = Steady::now();
  const DayLeft left = run_day(ground, folder);
  blank();
  bool good = ended_as(left, 5, DayState::failed, "The day could not run");
  const std::string& reason = left.report.stateReason;
  good &= claim(reason.find("pre-check abort") != std::string::npos &&
                    reason.find("syscallError") != std::string::npos &&
                    reason.find("write") != std::string::npos,
                "It says at which check, and what the kernel lacks: " + reason);
  good &= claim(std::ranges::none_of(left.entries,
                                     [](const api::DayEntry& entry) {
                                       return entry.kind == api::EntryKind::step_begun;
                                     }),
                "No step was begun.");
  good &= claim(failed_share(ground.shop().checkout().between(start, Steady::now())) < 0.05,
                "No order failed, by the stopwatch.");
  good &= figures_are_of_the_timeline(folder);
  return good;
}

bool failing_disk(DayGround& ground, const DayStage&, const std::string& folder) {
  if (!can_fail_writes()) return refused_by_kernel(ground, folder);
  paragraph("What payments writes into its ledger ends with EIO, and it must take no order then.");
  const DayLeft left = run_day(ground, folder);
  if (!has_acted(left, "disk")) return false;
  const Measured checkout = measured(ground.shop().checkout(), run_of(left, "disk"));
  blank();
  table({{"", "before", "during", "after"}, failures("checkout, stopwatch: failed", checkout)});
  blank();
  bool good =
      claim(failed_share(checkout.during) > 0.9, "No order was taken while the disk failed.");
  good &= claim(failed_share(checkout.before) < 0.05 && failed_share(checkout.after) < 0.05,
                "Before and after all were.");
  good &= ended_as(left, 0, DayState::completed, "All was as believed");
  good &= alert_told_truly(ground, left, "disk", "CheckoutFailing");
  good &= step_was(left, "felt", StepOutcome::met);
  good &= nothing_twice(left);
  good &= figures_are_of_the_timeline(folder);
  return good;
}

// ---- the cascade

bool cpu_cascade(DayGround& ground, const DayStage&, const std::string& folder) {
  paragraph(
      "Eight busy processes share the CPU limit of payments. Nothing is done to checkout, which "
      "asks "
      "payments and gives up after half a second, nor to the customers, who ask checkout.");
  const double throttled = ground.shop().payments_throttled_seconds();
  const DayLeft left = run_day(ground, folder);
  if (!has_acted(left, "pressure")) return false;
  const double more = ground.shop().payments_throttled_seconds() - throttled;
  const api::DayRun& run = run_of(left, "pressure");
  const Measured checkout = measured(ground.shop().checkout(), run, milliseconds(3'000));
  const Measured catalog = measured(ground.shop().catalog(), run);
  blank();
  table({{"", "before", "during", "after"},
         times("checkout, stopwatch", checkout),
         failures("of these failed", checkout),
         times("catalog, stopwatch", catalog)});
  blank();
  bool good = claim(more > 2, "payments was kept from its CPUs for " +
                                  std::to_string(static_cast<int>(more)) +
                                  " s, by the kernel's own count of its cgroup.");
  good &= claim(median(checkout.during) > milliseconds(250),
                "Its caller queued: checkout took " + ms_words(median(checkout.during)) + ".");
  good &= claim(failed_share(checkout.during) > 0.2,
                "Its caller's callers failed: " + percent_words(failed_share(checkout.during)) +
                    " of the orders.");
  good &= claim(failed_share(checkout.before) < 0.05 && failed_share(checkout.after) < 0.05,
                "Before, and from 3 s after it on, they did not.");
  good &= ended_as(left, 0, DayState::completed, "All was as believed");
  for (const char* step : {"queueing", "failing", "serves", "quick"})
    good &= step_was(left, step, StepOutcome::met);
  good &= alert_told_truly(ground, left, "pressure", "CheckoutSlow");
  good &= alert_told_truly(ground, left, "pressure", "CheckoutFailing");
  good &= nothing_twice(left);
  good &= figures_are_of_the_timeline(folder);
  return good;
}

using Play = bool (*)(DayGround&, const DayStage&, const std::string&);
const std::map<std::string, Play> kDays{{"slow-dependency", slow_dependency},
                                        {"refused-connects", refused},
                                        {"failing-disk", failing_disk},
                                        {"cpu-cascade", cpu_cascade}};

}  // namespace

const std::vector<std::string>& day_names() {
  static const std::vector<std::string> kNames{"slow-dependency", "refused-connects",
                                               "failing-disk", "cpu-cascade"};
  return kNames;
}

bool play_day(const DayStage& stage, const std::string& name) {
  const std::string example = stage.examples + "/" + name;
  heading("Game day: " + name);
  DayGround ground(example, stage.programs);
  return kDays.at(name)(ground, stage, stage.reports + "/" + name);
}

}  // namespace faultline::demo
