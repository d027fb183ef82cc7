// SPDX-License-Identifier: Apache-2.0
// What has to be in order before a game day, and what it would do.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "controller/engine/targets.h"
#include "controller/gameday/experiments.h"
#include "controller/gameday/words.h"
#include "controller/routes/gamedays.h"
#include "report/format.h"

namespace faultline::controller {
namespace {

using gameday::Day;
using gameday::expected_alerts;
using gameday::experiments_of;
using gameday::SeenCheck;

constexpr std::chrono::seconds kAgentsReturn{3};

bool was_checked(const api::GameDayRecord& record, api::PreCheck check) {
  const std::string word = gameday::check_word(check);
  return std::ranges::any_of(record.entries, [&](const api::DayEntry& entry) {
    return entry.kind == api::EntryKind::check && entry.word == word;
  });
}

std::string counted(std::size_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

}  // namespace

boost::asio::awaitable<void> Service::GameDays::check(Shared active) {
  // A copy: the document outlives the waits, the reference into the day does not have to.
  const std::vector<api::PreCheck> checks = active->day.record().document.spec.preChecks;
  for (const api::PreCheck one : checks) {
    if (stopped_ || active->day.over()) co_return;
    // What an earlier controller found is written down: now it might be otherwise, and count for
    // nothing.
    if (was_checked(active->day.record(), one)) continue;
    auto result = co_await check_one(*active, one);
    // When a controller begins, agents come back one after the other.
    const bool of_agents = one == api::PreCheck::agents || one == api::PreCheck::targets;
    const SteadyTime until = service_.clock_.steady() + kAgentsReturn;
    while (!result.good && of_agents && !stopped_ && service_.clock_.steady() < until &&
           active->day.record().state == api::DayState::checking) {
      co_await active->signal.wait(service_.clock_.steady() + kTurn);
      result = co_await check_one(*active, one);
    }
    if (stopped_) co_return;  // then it says nothing of the day
    const bool good = result.good;
    active->checks[one] = std::move(result);
    active->signal.notify();
    if (!good && !active->day.anyway()) co_return;
  }
}

boost::asio::awaitable<SeenCheck> Service::GameDays::check_one(Active& active,
                                                               api::PreCheck check) {
  const api::GameDay document = active.day.record().document;
  std::string who = active.day.record().requestedBy;
  switch (check) {
    case api::PreCheck::agents:
      co_return co_await check_plans(active.day, true);
    case api::PreCheck::targets:
      co_return co_await check_plans(active.day, false);
    case api::PreCheck::monitoring: {
      const bool needed = !expected_alerts(document).empty() || scope_of(document).queries;
      co_return co_await check_monitoring(std::move(who), needed);
    }
    case api::PreCheck::alerts:
      co_return co_await check_alerts(document, std::move(who));
    case api::PreCheck::abort:
      co_return co_await rehearse(active);
  }
  co_return SeenCheck{.text = "this controller does not know the check"};
}

// What is not in order with a step that is a surprise is told to those who know of it.
boost::asio::awaitable<SeenCheck> Service::GameDays::check_plans(const Day& day, bool agents) {
  const api::GameDay& document = day.record().document;
  std::set<std::string> pods, nodes, all_pods, all_nodes;
  std::string surprise;
  const auto bad = [&](const std::string& step, const std::string& why) {
    if (!day.is_surprise(step)) return SeenCheck{.text = "step " + step + ": " + why};
    return SeenCheck{
        .text = "a step that is not shown yet is not in order; the facilitator sees why",
        .secret = "step " + step + ": " + why,
        .secret_step = step};
  };
  for (const api::Step* one : gameday::steps_of(document)) {
    const std::string& step = one->name;
    const std::vector<api::Experiment> all =
        experiments_of(document, *one, service_.may_ != nullptr);
    for (const api::Experiment& experiment : all) {
      co_await let_others();
      if (stopped_ || day.record().state != api::DayState::checking)
        co_return SeenCheck{.text = "the game day has ended"};
      const auto plan = service_.engine_.plan(experiment, service_.now());
      if (!plan) {
        // Whether there is an agent is one question, whom it hits another.
        const bool about_agents =
            plan.error().code == Errc::kUnavailable || plan.error().code == Errc::kUnsupported;
        if (about_agents != agents) continue;
        co_return bad(step, plan.error().message);
      }
      const bool secret = day.is_surprise(step);
      if (secret) surprise = step;
      for (const api::PodRef& pod : plan->targets) {
        all_pods.insert(pod.id());
        all_nodes.insert(pod.node);
        if (secret) continue;
        pods.insert(pod.id());
        nodes.insert(pod.node);
      }
      if (agents && !plan->unsupported.empty()) {
        const api::UnsupportedFault& first = plan->unsupported.front();
        co_return bad(step, first.fault + " on node " + first.node + ": " + first.reason);
      }
    }
  }
  const auto words = [&](std::size_t of_nodes, std::size_t of_pods) {
    return agents ? counted(of_nodes, "node") +
                        " with targets, each with an agent that can do what is asked"
                  : counted(of_pods, "pod") + " will be hit";
  };
  SeenCheck good{.good = true, .text = words(nodes.size(), pods.size())};
  if (surprise.empty()) co_return good;
  good.text += ", as far as the steps are shown";
  good.secret = "with the surprises " + words(all_nodes.size(), all_pods.size());
  good.secret_step = surprise;
  co_return good;
}

boost::asio::awaitable<SeenCheck> Service::GameDays::check_monitoring(std::string who,
                                                                      bool needed) {
  if (!needed) co_return SeenCheck{.good = true, .text = "the day asks nothing of the monitoring"};
  const auto firing = co_await service_.monitoring_.firing(std::move(who));
  if (!firing) co_return SeenCheck{.text = firing.error().message};
  std::size_t sources = 0;
  for (const api::MonitoringEndpoint& endpoint : service_.monitoring_.endpoints())
    if (endpoint.kind == api::SourceKind::prometheus) ++sources;
  co_return SeenCheck{.good = true, .text = counted(sources, "Prometheus server") + " answered"};
}

boost::asio::awaitable<SeenCheck> Service::GameDays::check_alerts(const api::GameDay& document,
                                                                  std::string who) {
  const std::set<std::string> expected = expected_alerts(document);
  if (expected.empty()) co_return SeenCheck{.good = true, .text = "the day expects no alert"};
  const auto firing = co_await service_.monitoring_.firing(std::move(who));
  if (!firing) co_return SeenCheck{.text = firing.error().message};
  for (const observe::ActiveAlert& alert : *firing)
    if (expected.contains(alert.alert))
      co_return SeenCheck{.text = gameday::alert_words(alert.alert, alert.labels) +
                                  " fires already: nobody could tell whether it noticed"};
  co_return SeenCheck{.good = true, .text = counted(expected.size(), "expected alert") + " silent"};
}

// The first fault of the day for a second, which is then ended as an abort would end it. What is
// timed is from the order to the last injected event.
boost::asio::awaitable<SeenCheck> Service::GameDays::rehearse(Active& active) {
  // With a step that is no surprise, where there is one: the run is there for everybody.
  const Day& day = active.day;
  struct Found {
    std::string step;
    std::optional<api::Experiment> experiment;
  } shown, hidden;
  for (const api::Step* step : gameday::steps_of(day.record().document)) {
    Found& found = day.is_surprise(step->name) ? hidden : shown;
    if (found.experiment) continue;
    for (api::Experiment& one :
         experiments_of(day.record().document, *step, service_.may_ != nullptr))
      if (!one.spec.faults.empty() && !found.experiment) found = {step->name, std::move(one)};
    if (shown.experiment) break;
  }
  const bool secret = !shown.experiment;
  Found& with_fault = secret ? hidden : shown;
  if (!with_fault.experiment)
    co_return SeenCheck{.good = true, .text = "the day has no fault that could be ended"};
  constexpr std::chrono::seconds kFault{1};
  // The node measures, arms and closes.
  const auto patience = std::chrono::seconds(30) + 3 * service_.options_.times.answer;
  gameday::WantedRun run;
  run.key = rehearsal_key(active.day);
  api::Experiment rehearsed = std::move(*with_fault.experiment);
  rehearsed.metadata.name = active.day.record().document.metadata.name + "-rehearsal";
  rehearsed.metadata.labels.erase(std::string(api::kDayStepLabel));
  rehearsed.metadata.annotations.erase(std::string(api::kQuietNote));
  if (secret) rehearsed.metadata.annotations[std::string(api::kQuietNote)] = "true";
  // Short: the run of a controller that was killed here ends by itself. With a baseline the
  // collectors are there before the fault is: an agent that begins to measure some pods at once
  // does nothing else meanwhile, on a busy node for longer than the lease.
  rehearsed.spec.phases = {.baseline = {std::chrono::seconds(1)},
                           .fault = {std::chrono::seconds(10)},
                           .recovery = {std::chrono::seconds(1)}};
  rehearsed.spec.expect = {};
  rehearsed.spec.abortWhen = {};
  const std::string key = run.key;
  const SteadyTime until = service_.clock_.steady() + patience;
  // That of a controller that was killed here is ended, and all is done again.
  for (std::string left = service_.active_run_of(key);
       !left.empty() && service_.clock_.steady() < until && !stopped_;
       left = service_.active_run_of(key)) {
    if (active.stopped.insert(left).second)
      service_.stop_run(left,
                        "the controller was restarted: the rehearsal of an abort begins again");
    co_await active.signal.wait(service_.clock_.steady() + std::chrono::milliseconds(20));
  }
  // Its run, and the words of it, tell of the fault: where that is a surprise, only its own step.
  const auto told = [&](std::string text) {
    if (!secret) return SeenCheck{.text = std::move(text)};
    return SeenCheck{.text = "it was rehearsed with a step that is not shown yet",
                     .secret = "with step " + with_fault.step + ": " + text,
                     .secret_step = with_fault.step,
                     .secret_run = active.runs[key].run};
  };
  std::optional<SteadyTime> injecting_since;
  UtcTime ended{};
  while (service_.clock_.steady() < until && !stopped_) {
    if (active.runs[key].run.empty() && active.runs[key].refused.empty()) {
      gameday::WantedRun again = run;
      api::Experiment copy = rehearsed;
      active.beginning.insert(key);
      co_await begin(active, std::move(again), std::move(copy));
      active.beginning.erase(key);
    }
    const gameday::SeenRun seen = active.runs[key];
    if (active.day.record().state != api::DayState::checking) {  // somebody ended the day
      if (!seen.run.empty() && active.stopped.insert(seen.run).second)
        service_.stop_run(seen.run, "the game day was aborted");
      co_return SeenCheck{.text = "the game day was aborted"};
    }
    if (!seen.refused.empty()) co_return told("it could not begin: " + seen.refused);
    const Run* found = seen.run.empty() ? nullptr : service_.in_memory(seen.run);
    const SteadyTime now = service_.clock_.steady();
    if (found != nullptr && !found->over()) {
      if (found->head().state == api::RunState::Injecting && !injecting_since)
        injecting_since = now;
      if (injecting_since && now - *injecting_since >= kFault && ended == UtcTime{}) {
        ended = service_.clock_.utc();
        active.stopped.insert(seen.run);
        service_.stop_run(seen.run, "the rehearsal of an abort");
      }
    } else if (!seen.run.empty()) {
      std::string id = seen.run;
      const auto over = co_await run_now(std::move(id));
      if (over && over->report) {
        api::Timestamp last;
        for (const api::InjectionReport& injection : over->report->injections)
          last = std::max(last, injection.lastInjectedAt);
        const bool clean = over->report->residue && over->report->residue->empty();
        if (ended == UtcTime{} || !last.set() || !clean)
          co_return told(ended == UtcTime{}
                             ? "the run ended before it was aborted: " + over->head.stateReason
                         : !last.set() ? "the fault hit nothing within a second"
                                       : "it is not known that nothing is left");
        const double seconds =
            std::max(0.0, std::chrono::duration<double>(last.value - ended).count());
        SeenCheck good = told("a fault of one second was ended; nothing is left");
        good.good = true;
        good.seconds = seconds;
        co_return good;
      }
    }
    co_await active.signal.wait(now + std::chrono::milliseconds(20));
  }
  if (!active.runs[key].run.empty())
    service_.stop_run(active.runs[key].run, "the rehearsal of an abort took too long");
  co_return told("the rehearsal was not over after " +
                 report::seconds_words(std::chrono::duration<double>(patience).count()));
}

boost::asio::awaitable<Result<api::GameDayPlan>> Service::GameDays::plan(api::GameDay document,
                                                                         std::string who) {
  api::GameDayPlan plan;
  plan.leastSeconds = std::chrono::duration<double>(api::least_length(document)).count();
  constexpr std::size_t kMostPlanned = 20'000;  // pods, each once for each Experiment that hits it
  std::size_t planned = 0, left_out = 0;
  std::set<std::string> hit;
  for (const api::Step* step : gameday::steps_of(document)) {
    std::vector<api::Experiment> all = experiments_of(document, *step, service_.may_ != nullptr);
    for (api::Experiment& experiment : all) {
      co_await let_others();
      if (stopped_) co_return fail(Errc::kUnavailable, "the controller is ending");
      api::StepPlan one{.step = step->name, .experiment = experiment.metadata.name};
      auto run = service_.engine_.plan(experiment, service_.now());
      if (run) {
        std::string caller = who;
        auto alerts = co_await service_.plan_alerts(std::move(experiment), std::move(caller));
        if (alerts)
          run->alerts = std::move(*alerts);
        else
          one.problem = alerts.error().message;
        for (const api::PodRef& pod : run->targets)
          if (hit.insert(pod.id()).second) plan.hit.push_back(pod);
        for (const api::UnsupportedFault& fault : run->unsupported)
          if (one.problem.empty())
            one.problem = fault.fault + " on node " + fault.node + ": " + fault.reason;
        planned += run->targets.size();
        if (planned <= kMostPlanned)
          one.plan = std::move(*run);
        else
          ++left_out;
      } else {
        one.problem = run.error().message;
      }
      plan.steps.push_back(std::move(one));
    }
  }
  if (left_out > 0)
    plan.notes.push_back("the day would hit so many pods that the plans of " +
                         counted(left_out, "experiment") + " are not shown");
  for (const api::MonitoringEndpoint& endpoint : service_.monitoring_.endpoints())
    plan.sources.push_back(endpoint.name);
  if (plan.sources.empty() && (!expected_alerts(document).empty() || scope_of(document).queries))
    plan.notes.emplace_back("the controller has no monitoring, and the day asks for it");
  co_return plan;
}

}  // namespace faultline::controller
